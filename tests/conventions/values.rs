//! The template's values that production relies on, each with its reason, as a table: a
//! change of one has to answer the reason first. What is compared with the code is in [`crate::bounds`].

use std::collections::BTreeSet;

use yaml_serde::Value;

use crate::Violations;
use crate::contract::Document;
use crate::template::{Template, entries, list, reference, words};
use Of::{All, Global, One, Parameter};
use Rule::{Absent, Are, Begins, Between, Is, Refers};

/// The places that a row is about.
enum Of {
    /// Every resource of a type, those as well that come later.
    All(&'static str),
    /// One resource.
    One(&'static str),
    /// A parameter.
    Parameter(&'static str),
    /// The part that all functions have in common.
    Global,
}

/// The values that a row allows.
enum Rule {
    /// This scalar.
    Is(&'static str),
    /// A number within these bounds.
    Between(u64, u64),
    /// A `!Sub` that begins with one of these.
    Begins(&'static [&'static str]),
    /// These members, in any order.
    Are(&'static [&'static str]),
    /// This resource or parameter.
    Refers(&'static str),
    /// None, so that AWS's default holds.
    Absent,
}

/// Where · which property · what it may be · why.
type Row = (Of, &'static str, Rule, &'static str);

const FUNCTION: &str = "AWS::Serverless::Function";
const QUEUE: &str = "AWS::SQS::Queue";
const SECRET: &str = "AWS::SecretsManager::Secret";
const PERMISSION: &str = "AWS::Lambda::Permission";
const ALARM: &str = "AWS::CloudWatch::Alarm";

#[rustfmt::skip] // A table.
const VALUES: &[Row] = &[
    // The table
    (One("Table"), "DeletionPolicy", Is("RetainExceptOnCreate"), "deleting the stack by mistake loses every message"),
    (One("Table"), "UpdateReplacePolicy", Is("Retain"), "a change that replaces the table loses every message"),
    (One("Table"), "BillingMode", Is("PAY_PER_REQUEST"), "a peak is served, and nothing has to be foreseen"),
    (One("Table"), "PointInTimeRecoverySpecification.PointInTimeRecoveryEnabled", Is("true"), "operators restore from it"),
    (One("Table"), "SSESpecification", Absent, "DynamoDB encrypts by a key that AWS owns; KMS bills each call for another"),
    (One("Table"), "TimeToLiveSpecification.AttributeName", Is("expires_at"), "the records' name for their end"),
    (One("Table"), "TimeToLiveSpecification.Enabled", Is("true"), "idempotency keys and connections would stay for ever"),
    (One("Table"), "GlobalSecondaryIndexes.*.Projection.ProjectionType", Is("KEYS_ONLY"), "each attribute in it is written twice"),

    // Queues. That they keep dead letters long enough is a bound.
    (All(QUEUE), "SqsManagedSseEnabled", Is("true"), "nothing of ours lies anywhere in the clear"),
    (All(QUEUE), "FifoQueue", Absent, "order comes from the table; a FIFO queue would hold up a whole business"),
    (All(QUEUE), "DelaySeconds", Absent, "a customer would wait for it"),
    // https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
    (One("ChatQueue"), "RedrivePolicy.maxReceiveCount", Between(5, 10), "throttled workers are no poison: Lambda's guide says 5 or more; each more is 3 minutes without an alarm"),
    (One("WhatsappQueue"), "RedrivePolicy.maxReceiveCount", Between(5, 10), "as ChatQueue"),
    (One("EmailQueue"), "RedrivePolicy.maxReceiveCount", Between(5, 10), "as ChatQueue"),
    (One("WebhookQueue"), "RedrivePolicy.maxReceiveCount", Between(5, 10), "as ChatQueue"),

    // Files
    (One("Files"), "DeletionPolicy", Is("RetainExceptOnCreate"), "customers' links lead there"),
    (One("Files"), "UpdateReplacePolicy", Is("Retain"), "customers' links lead there"),
    (One("Files"), "OwnershipControls.Rules.*.ObjectOwnership", Is("BucketOwnerEnforced"), "no access by object ACLs"),
    (One("Files"), "BucketEncryption.ServerSideEncryptionConfiguration.*.ServerSideEncryptionByDefault.SSEAlgorithm", Is("AES256"), "presigned URLs need no permission of KMS"),
    (One("Files"), "PublicAccessBlockConfiguration.BlockPublicAcls", Is("true"), "the files are private"),
    (One("Files"), "PublicAccessBlockConfiguration.BlockPublicPolicy", Is("true"), "the files are private"),
    (One("Files"), "PublicAccessBlockConfiguration.IgnorePublicAcls", Is("true"), "the files are private"),
    (One("Files"), "PublicAccessBlockConfiguration.RestrictPublicBuckets", Is("true"), "the files are private"),
    (One("Files"), "CorsConfiguration.CorsRules.*.AllowedMethods", Are(&["PUT"]), "pages put files; readers are redirected, which needs no CORS"),
    (One("Files"), "CorsConfiguration.CorsRules.*.AllowedOrigins", Are(&["*"]), "what may be put is signed, whichever page puts it"),
    (One("Files"), "CorsConfiguration.CorsRules.*.AllowedHeaders", Are(&["content-type", "if-none-match", "x-amz-tagging"]), "the headers that are signed, and that a browser sets by itself no more than these"),
    (One("Files"), "CorsConfiguration.CorsRules.*.ExposedHeaders", Absent, "pages read nothing of S3's answers"),
    (One("Files"), "CorsConfiguration.CorsRules.*.MaxAge", Between(300, 3600), "a change of these rules is known everywhere within the hour"),
    (One("Files"), "VersioningConfiguration", Absent, "what lifecycle deletes shall be gone"),
    (One("Files"), "WebsiteConfiguration", Absent, "the files are private"),

    // Secrets. HS256 wants 256 bits (RFC 7518 §3.2); a letter or digit has 5.9.
    (All(SECRET), "DeletionPolicy", Is("RetainExceptOnCreate"), "without its keys a stack that is made anew refuses every token, and Meta's webhooks"),
    (All(SECRET), "UpdateReplacePolicy", Is("Retain"), "as DeletionPolicy"),
    (All(SECRET), "GenerateSecretString.PasswordLength", Between(44, 128), "44 letters and digits have 256 bits; longer than a block of SHA-256 is hashed first"),
    (All(SECRET), "GenerateSecretString.ExcludePunctuation", Is("true"), "a quote would end the JSON that it stands in"),
    (All(SECRET), "SecretString", Absent, "the template is no secret"),
    (One("AgentKeys"), "GenerateSecretString.GenerateStringKey", Is("secret"), "platform::credential reads this member"),
    (One("VisitorKeys"), "GenerateSecretString.GenerateStringKey", Is("secret"), "platform::credential reads this member"),
    (One("ReceiptKeys"), "GenerateSecretString.GenerateStringKey", Is("secret"), "platform::credential reads this member"),
    (One("WhatsappWebhook"), "GenerateSecretString.GenerateStringKey", Is("app_secret"), "receipts-whatsapp reads this member"),

    // APIs
    (One("Api"), "FailOnWarnings", Is("true"), "what API Gateway does not understand would be left out"),
    (One("Api"), "CorsConfiguration", Absent, "the contract has the rules for other origins"),
    (One("GatewayAccount"), "DeletionPolicy", Is("RetainExceptOnCreate"), "other stacks of the account log by it"),
    (One("GatewayLogsRole"), "DeletionPolicy", Is("RetainExceptOnCreate"), "other stacks of the account log by it"),
    (One("ChatStage"), "StageName", Is("live"), "the functions call its connections by this name"),
    (One("Api"), "DisableExecuteApiEndpoint", Absent, "SAM takes it with no definition that is included; http-api.yaml has it"),
    (One("ApiDomainName"), "DomainName", Refers("ApiDomain"), "links and outputs name it"),
    (One("ApiDomainName"), "DomainNameConfigurations.*.CertificateArn", Refers("ApiCertificate"), "it is the domain's"),
    (One("ApiDomainName"), "DomainNameConfigurations.*.EndpointType", Is("REGIONAL"), "HTTP APIs know no other"),
    (One("ApiDomainName"), "DomainNameConfigurations.*.SecurityPolicy", Is("TLS_1_2"), "no older TLS"),
    (One("ApiDomainMapping"), "ApiMappingKey", Absent, "a file's path is the same under each address"),
    (One("ChatStage"), "AutoDeploy", Is("true"), "a new route would not be reachable"),
    (One("ChatApi"), "ProtocolType", Is("WEBSOCKET"), "the widget's protocol"),
    (All(PERMISSION), "Principal", Is("apigateway.amazonaws.com"), "functions are for API Gateway alone"),
    (All(PERMISSION), "Action", Is("lambda:InvokeFunction"), "and only to be invoked"),

    // Functions
    (Global, "Runtime", Is("provided.al2023"), "they are programs, not scripts"),
    (Global, "Tracing", Absent, "X-Ray costs, and does not show what functions wait for"),
    (All(FUNCTION), "Tracing", Absent, "as above"),
    (Global, "MemorySize", Between(256, 512), "CPU comes with memory; what one holds is a bound"),
    (Global, "Timeout", Between(10, 28), "a caller waits for as long; what fits into it are bounds"),
    (One("SendMessage"), "MemorySize", Between(512, 1024), "an agent waits for it: CPU for TLS and signatures"),
    (One("SendMessage"), "ReservedConcurrentExecutions", Is("!If - ReservesSendMessage\n- !Ref SendMessageConcurrency\n- !Ref AWS::NoValue"), "no other function can use up what agents' messages need"),
    (One("ChatSocket"), "ReservedConcurrentExecutions", Is("!If - ReservesChatSocket\n- !Ref ChatSocketConcurrency\n- !Ref AWS::NoValue"), "visitors cannot use up what the other functions need"),
    (One("DeliverChat"), "ReservedConcurrentExecutions", Absent, "a worker that is throttled leaves doorbells to the dead letters"),
    (One("DeliverWhatsapp"), "ReservedConcurrentExecutions", Absent, "as DeliverChat"),
    (One("DeliverEmail"), "ReservedConcurrentExecutions", Absent, "as DeliverChat"),
    (One("SweepOutbox"), "ReservedConcurrentExecutions", Absent, "it repairs, and may never be throttled by its own bound"),
    (Parameter("SendMessageConcurrency"), "Default", Between(50, 400), "twice what ApiRate lets through; the others need the rest of 1,000"),
    (Parameter("ChatSocketConcurrency"), "Default", Between(50, 400), "as SendMessageConcurrency"),
    (One("Api"), "RouteSettings.*.ThrottlingRateLimit", Refers("PublicRate"), "a flood of a public route takes nothing from agents"),
    (One("Api"), "RouteSettings.*.ThrottlingBurstLimit", Refers("PublicBurst"), "as ThrottlingRateLimit"),
    (One("ChatStage"), "DefaultRouteSettings.ThrottlingRateLimit", Refers("ChatRate"), "what widgets send is bounded"),
    (One("ChatStage"), "DefaultRouteSettings.ThrottlingBurstLimit", Refers("ChatBurst"), "what widgets send is bounded"),
    (One("ChatStage"), "DefaultRouteSettings.DataTraceEnabled", Absent, "it would log what visitors and agents write"),
    (One("ChatStage"), "RouteSettings.$connect.ThrottlingRateLimit", Refers("ChatConnectRate"), "handshakes take nothing from the messages of those who are connected"),
    (One("ChatStage"), "RouteSettings.$connect.ThrottlingBurstLimit", Refers("ChatConnectBurst"), "as ThrottlingRateLimit"),
    (One("ChatStage"), "RouteSettings.$connect.DataTraceEnabled", Absent, "it would log the visitor's token"),
    (All(FUNCTION), "FunctionUrlConfig", Absent, "it would be a way past API Gateway and its throttles"),
    (All(FUNCTION), "VpcConfig", Absent, "there is nothing in one that they call"),
    (All(FUNCTION), "Policies.*.Statement.*.Effect", Is("Allow"), "a role allows what its function does"),
    (All(FUNCTION), "Role", Absent, "each has a role of its own, which tests/least-privilege measures"),

    // Deployments
    (Global, "AutoPublishAlias", Is("live"), "a deployment is taken back by leading the alias to the version before"),
    (All(FUNCTION), "AutoPublishAliasAllProperties", Is("true"), "a changed parameter would make no version, and not come alive"),
    (One("SendMessage"), "DeploymentPreference.Type", Refers("Rollout"), "one in ten requests meets a new version first"),
    (One("Attachments"), "DeploymentPreference.Type", Refers("Rollout"), "as SendMessage"),
    (One("ReadMessages"), "DeploymentPreference.Type", Refers("Rollout"), "as SendMessage"),
    (One("WebhookEndpoints"), "DeploymentPreference.Type", Refers("Rollout"), "as SendMessage"),
    (One("ReceiptsWhatsapp"), "DeploymentPreference.Type", Refers("Rollout"), "as SendMessage"),
    (One("SendMessage"), "DeploymentPreference.Alarms.0", Refers("ApiIsBroken"), "it takes a bad version back"),
    (One("SendMessage"), "DeploymentPreference.Alarms.1", Refers("RequestsCrash"), "it takes a bad version back"),
    (One("SendMessagePermission"), "FunctionName", Is("!Ref SendMessage.Alias"), "API Gateway calls the alias, and the function itself may not be called"),
    (One("AttachmentsPermission"), "FunctionName", Is("!Ref Attachments.Alias"), "API Gateway calls the alias, and the function itself may not be called"),
    (One("ReadMessagesPermission"), "FunctionName", Is("!Ref ReadMessages.Alias"), "API Gateway calls the alias, and the function itself may not be called"),
    (One("WebhookEndpointsPermission"), "FunctionName", Is("!Ref WebhookEndpoints.Alias"), "API Gateway calls the alias, and the function itself may not be called"),
    (One("ReceiptsWhatsappPermission"), "FunctionName", Is("!Ref ReceiptsWhatsapp.Alias"), "API Gateway calls the alias, and the function itself may not be called"),
    (One("ChatPermission"), "FunctionName", Is("!Ref ChatSocket.Alias"), "API Gateway calls the alias, and the function itself may not be called"),
    (One("ChatIntegration"), "IntegrationUri", Is("!Sub arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${ChatSocket.Arn}:live/invocations"), "what was taken back would go on"),
    (Parameter("Rollout"), "Default", Is("Canary10Percent5Minutes"), "all at once is for stacks that no customer uses"),

    // Workers
    (One("ChatSocket"), "Events.HelloTimer.Properties.FunctionResponseTypes", Are(&["ReportBatchItemFailures"]), "as DeliverChat"),
    (One("DeliverChat"), "Events.Bell.Properties.FunctionResponseTypes", Are(&["ReportBatchItemFailures"]), "one bad record would fail its whole batch"),
    (One("DeliverWhatsapp"), "Events.Bell.Properties.FunctionResponseTypes", Are(&["ReportBatchItemFailures"]), "as DeliverChat"),
    (One("DeliverEmail"), "Events.Bell.Properties.FunctionResponseTypes", Are(&["ReportBatchItemFailures"]), "as DeliverChat"),
    (One("DeliverChat"), "Events.Bell.Properties.ScalingConfig.MaximumConcurrency", Refers("ChatConcurrency"), "one channel's rush takes no function from the others"),
    (One("DeliverWhatsapp"), "Events.Bell.Properties.ScalingConfig.MaximumConcurrency", Refers("WhatsappConcurrency"), "as DeliverChat"),
    (One("DeliverEmail"), "Events.Bell.Properties.ScalingConfig.MaximumConcurrency", Refers("EmailConcurrency"), "as DeliverChat"),
    (All(FUNCTION), "Events.*.Properties.Enabled", Absent, "an event source that is off delivers nothing, and nothing complains"),
    (All(FUNCTION), "Events.Bell.Properties.FilterCriteria", Absent, "what a filter drops is gone for good"),
    (All(FUNCTION), "Events.*.Properties.State", Absent, "an event source that is off delivers nothing, and nothing complains"),

    // Receipts
    (One("EmailReceiptsDestination"), "EventDestination.Enabled", Is("true"), "without reports a mail is `sent` for ever"),
    (One("EmailReceiptsDestination"), "EventDestination.MatchingEventTypes", Are(&["send", "delivery", "bounce", "complaint", "reject", "renderingFailure"]), "receipts-email reads all of them"),
    (One("ReceiptsEmail"), "Events.Reported.Properties.Pattern.source", Are(&["aws.ses"]), "the reports are SES's"),
    (One("ReceiptsEmail"), "Events.Reported.Properties.Pattern.detail-type", Are(&["Email Sent", "Email Delivered", "Email Bounced", "Email Complaint Received", "Email Rejected", "Email Rendering Failed"]), "receipts-email reads all of them, and pays for no other"),
    (One("ReceiptsEmail"), "Events.Reported.Properties.Pattern.detail.mail.tags.ses:configuration-set.*", Refers("EmailReceipts"), "every other system's mail of the account would be reported here, addresses included"),
    (One("ReceiptsEmail"), "Environment.Variables.EMAIL_CONFIGURATION_SET", Refers("EmailReceipts"), "receipts-email takes reports of this set alone"),
    (One("ReceiptsEmail"), "Events.Reported.Properties.DeadLetterConfig.Arn", Refers("LostEmailReceipts"), "a report comes once"),
    (One("ReceiptsEmail"), "Events.Reported.Properties.RetryPolicy", Absent, "EventBridge tries for 24 hours by itself"),
    (One("ReceiptsEmail"), "EventInvokeConfig.MaximumRetryAttempts", Is("2"), "a report comes once: Lambda's most, before it is kept"),
    (One("ReceiptsEmail"), "EventInvokeConfig.MaximumEventAgeInSeconds", Absent, "Lambda's longest, six hours"),
    (One("ReceiptsEmail"), "EventInvokeConfig.DestinationConfig.OnFailure.Destination", Refers("LostEmailReceipts"), "a report that cannot be stored is kept"),

    // Events
    (Parameter("WebhookReach"), "Default", Is("public"), "callers name addresses that we call"),
    (One("DeliverWebhook"), "Environment.Variables.WEBHOOK_REACH", Refers("WebhookReach"), "a rule keeps production's public"),
    (One("WebhookEndpoints"), "Environment.Variables.WEBHOOK_REACH", Refers("WebhookReach"), "as DeliverWebhook"),
    (One("DeliverWebhook"), "ReservedConcurrentExecutions", Absent, "as DeliverChat"),
    (One("DeliverWebhook"), "Events.Bell.Properties.FunctionResponseTypes", Are(&["ReportBatchItemFailures"]), "as DeliverChat"),
    (One("DeliverWebhook"), "Events.Bell.Properties.ScalingConfig.MaximumConcurrency", Refers("WebhookConcurrency"), "as DeliverChat"),
    (One("Table"), "StreamSpecification.StreamViewType", Is("NEW_AND_OLD_IMAGES"), "a change is what differs between the two"),
    (One("PublishEvents"), "Events.Changed.Properties.StartingPosition", Is("TRIM_HORIZON"), "what changed before the first read is told as well"),
    (One("PublishEvents"), "Events.Changed.Properties.FunctionResponseTypes", Are(&["ReportBatchItemFailures"]), "one bad record would fail its whole batch"),
    (One("PublishEvents"), "Events.Changed.Properties.BisectBatchOnFunctionError", Is("true"), "a record that kills the function is found, and the others go on"),
    (One("PublishEvents"), "Events.Changed.Properties.MaximumRetryAttempts", Between(30, 600), "an hour at least, and less than the stream keeps it: what is behind waits"),
    (One("PublishEvents"), "Events.Changed.Properties.MaximumRecordAgeInSeconds", Absent, "age alone is no reason to tell nobody"),
    (One("PublishEvents"), "Events.Changed.Properties.DestinationConfig.OnFailure.Destination", Refers("UnpublishedEvents"), "a change that is given up is kept"),
    (One("PublishEvents"), "Events.Changed.Properties.ParallelizationFactor", Absent, "one batch of a shard at a time"),

    // The sweeper
    (One("SweepOutbox"), "EventInvokeConfig.MaximumEventAgeInSeconds", Is("60"), "throttled sweeps would wait for six hours, and run all at once"),
    (One("SweepOutbox"), "Events.EveryMinute.Properties.RetryPolicy.MaximumEventAgeInSeconds", Is("60"), "EventBridge would try for a day"),
    (One("SweepOutbox"), "Events.EveryMinute.Properties.RetryPolicy.MaximumRetryAttempts", Between(0, 5), "the next sweep comes in a minute"),
    (One("SweepOutbox"), "EventInvokeConfig.MaximumRetryAttempts", Is("0"), "the next sweep comes in a minute, and finds the same"),
    (One("SweepOutbox"), "Events.EveryMinute.Properties.Schedule", Is("rate(1 minute)"), "so long a lost doorbell delays a message"),

    // Logs and alarms
    (All("AWS::Logs::LogGroup"), "RetentionInDays", Refers("LogRetentionDays"), "logs would be kept for ever"),
    (All("AWS::Logs::LogGroup"), "LogGroupName", Begins(&["/aws/lambda/${AWS::StackName}/", "/aws/vendedlogs/${AWS::StackName}/", "/aws/apigateway/${AWS::StackName}/"]), "with another end of the stack's name, one stack's prefix begins another's groups"),
    (All("AWS::Logs::LogGroup"), "DeletionPolicy", Absent, "one that stayed would keep a stack of the same name from being made"),
    (All(ALARM), "AlarmActions.*", Refers("Alarms"), "an alarm that tells no one"),
    (All(ALARM), "ActionsEnabled", Absent, "an alarm that tells no one"),
    (One("AlarmSubscription"), "TopicArn", Refers("Alarms"), "an address that hears nothing"),
    (One("AlarmSubscription"), "Endpoint", Refers("AlarmEmail"), "an address that hears nothing"),
    (One("AlarmSubscription"), "FilterPolicy", Absent, "an address that hears some alarms"),
    (One("EmailReceipts"), "ReputationOptions.ReputationMetricsEnabled", Is("true"), "operators tell from it whose mail bounces"),
    (One("ApiThrottling"), "LogGroupName", Refers("ApiLog"), "API Gateway has no metric of what it throttles"),
    (One("ApiThrottling"), "FilterPattern", Is("{ $.status = \"429\" }"), "the access log has the status as a text"),
    (One("Alarms"), "KmsMasterKeyId", Absent, "CloudWatch cannot publish under AWS's key for SNS"),

    // Parameters
    (Parameter("Architecture"), "Default", Is("x86_64"), "what all tests run on"),
    (Parameter("LogLevel"), "Default", Is("info"), "the levels below cost more and tell an operator less"),
    (Parameter("LogRetentionDays"), "Default", Between(14, 90), "long enough to look into last week, not longer than people's data should lie about"),
    (Parameter("DeletionProtection"), "Default", Is("true"), "a stack for a trial is the exception"),
    // https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
    (Parameter("ApiRate"), "Default", Between(100, 1_000), "a tenth of an account's 10,000: leaves room for its other APIs, and functions for deliveries"),
    (Parameter("ApiBurst"), "Default", Between(100, 500), "a tenth of an account's 5,000"),
    (Parameter("PublicRate"), "Default", Between(100, 500), "below ApiRate; three receipts for each of WhatsApp's messages"),
    (Parameter("PublicBurst"), "Default", Between(50, 250), "below ApiBurst"),
    (Parameter("ChatRate"), "Default", Between(100, 500), "ten functions at once, if a frame takes 20 ms"),
    (Parameter("ChatBurst"), "Default", Between(100, 500), "as ChatRate"),
    (Parameter("ChatConnectRate"), "Default", Is("500"), "an account has 500 new connections a second; a lower rate would let a smaller flood keep others out"),
    (Parameter("ChatConnectBurst"), "Default", Is("500"), "as ChatConnectRate"),
    // https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
    (Parameter("ChatConcurrency"), "Default", Between(10, 100), "ten times as many calls at once; an account has 1,000 functions for everything"),
    (Parameter("WhatsappConcurrency"), "Default", Between(10, 100), "as ChatConcurrency"),
    (Parameter("EmailConcurrency"), "Default", Is("2"), "two mails at once are 13 a second; SES takes 14 of an account that has left the sandbox"),
    (One("DeliverEmail"), "Events.Bell.Properties.BatchSize", Refers("EmailBatchSize"), "its workers' number follows SES's rate"),
    (Parameter("EmailBatchSize"), "Default", Is("1"), "as EmailConcurrency"),
    (Parameter("EmailBatchSize"), "MaxValue", Is("10"), "MAX_CONCURRENT_RECORDS, and the memory for them"),
    (Parameter("Stage"), "Default", Is("prod"), "a stack of which nothing is said may be one that customers use"),
    (Parameter("ChatConcurrency"), "MinValue", Is("2"), "Lambda takes no less"),
    (Parameter("WhatsappConcurrency"), "MinValue", Is("2"), "Lambda takes no less"),
    (Parameter("EmailConcurrency"), "MinValue", Is("2"), "Lambda takes no less"),
    (Parameter("LambdaQuota"), "Default", Is("1000"), "the quota that accounts come to have"),
    (Parameter("ClockOffsetMs"), "Default", Is("0"), "customers live in real time"),
    (Parameter("EndpointUrl"), "Default", Is(""), "AWS is where the SDKs find it"),
    (Parameter("ApiGatewayLogsRole"), "Default", Is("create"), "a new account has no such role"),
];

#[test]
fn values_are_those_that_production_relies_on() {
    let template = Template::read();
    let mut violations = Violations::default();

    for (of, path, rule, why) in VALUES {
        let places = of.places(&template);
        violations.unless(!places.is_empty(), || {
            format!("template.yaml has no {}: change the row about its {path}", of.name())
        });
        for (id, place) in places {
            let found = place.values(path);
            let absent = matches!(rule, Absent);
            violations.unless(absent || !found.is_empty(), || {
                format!("template.yaml, {id}: {path} is missing: {why}")
            });
            for value in found.into_iter().filter(|value| !rule.allows(value)) {
                violations.add(format!(
                    "template.yaml, {id}: {path} must be {}, not {}: {why}",
                    rule.words(),
                    words(value)
                ));
            }
        }
    }

    violations.report();
}

/// A resource, a parameter, or the functions' common part.
struct Place<'a> {
    whole: &'a Value,
    properties: &'a Value,
}

impl Of {
    fn name(&self) -> &'static str {
        match self {
            All(name) | One(name) | Parameter(name) => name,
            Global => "Globals.Function",
        }
    }

    fn places<'a>(&self, template: &'a Template) -> Vec<(&'a str, Place<'a>)> {
        let whole = |value| Place { whole: value, properties: value };
        let resource = |value: &'a Value| Place { whole: value, properties: &value["Properties"] };
        let resources = || entries(template.section("Resources"));
        let globals = &template.section("Globals")["Function"];

        match self {
            All(kind) => {
                let of_type = resources().filter(|(_, resource)| resource["Type"] == *kind);
                of_type.map(|(id, value)| (id, resource(value))).collect()
            }
            One(name) => resources()
                .filter(|(id, _)| id == name)
                .map(|(id, value)| (id, resource(value)))
                .collect(),
            Parameter(name) => entries(template.section("Parameters"))
                .filter(|(id, _)| id == name)
                .map(|(id, value)| (id, whole(value)))
                .collect(),
            Global => vec![("Globals.Function", whole(globals))],
        }
    }
}

impl Place<'_> {
    /// Everything that a path leads to; `*` leads to each member.
    fn values(&self, path: &str) -> Vec<&Value> {
        let of_the_resource = ["DeletionPolicy", "UpdateReplacePolicy"].contains(&path);
        let root = if of_the_resource { self.whole } else { self.properties };
        path.split('.').fold(vec![root], |values, step| {
            let steps = values.into_iter().flat_map(|value| match (step, value) {
                ("*", Value::Sequence(items)) => items.iter().collect(),
                (index, Value::Sequence(items)) => index
                    .parse::<usize>()
                    .ok()
                    .and_then(|index| items.get(index))
                    .into_iter()
                    .collect(),
                ("*", value) => entries(value).map(|(_, member)| member).collect(),
                (name, value) => vec![&value[name]],
            });
            steps.filter(|value| !value.is_null()).collect()
        })
    }
}

impl Rule {
    fn allows(&self, value: &Value) -> bool {
        match self {
            Is(text) => words(value) == *text,
            Between(least, most) => {
                value.as_u64().is_some_and(|number| (*least..=*most).contains(&number))
            }
            Are(members) => {
                let items = value.as_sequence().into_iter().flatten();
                let given: BTreeSet<String> = items.map(words).collect();
                given == members.iter().map(|&member| member.to_owned()).collect()
            }
            Begins(starts) => {
                let text = words(value);
                text.strip_prefix("!Sub ")
                    .is_some_and(|text| starts.iter().any(|start| text.starts_with(start)))
            }
            Refers(name) => reference(value) == Some(name),
            Absent => false,
        }
    }

    fn words(&self) -> String {
        match self {
            Is(text) => format!("{text:?}"),
            Between(least, most) => format!("{least} to {most}"),
            Are(members) => format!("{members:?}"),
            Begins(starts) => format!("!Sub, beginning with one of {starts:?}"),
            Refers(name) => format!("!Ref or !GetAtt {name}"),
            Absent => "left out".to_owned(),
        }
    }
}

/// The types of resources that the tests here know. Another one has properties of its own that
/// production relies on.
const TYPES: [&str; 25] = [
    "AWS::ApiGateway::Account",
    "AWS::ApiGatewayV2::Api",
    "AWS::ApiGatewayV2::ApiMapping",
    "AWS::ApiGatewayV2::DomainName",
    "AWS::ApiGatewayV2::Integration",
    "AWS::ApiGatewayV2::Route",
    "AWS::ApiGatewayV2::Stage",
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::Dashboard",
    "AWS::DynamoDB::Table",
    "AWS::IAM::Role",
    "AWS::Lambda::Permission",
    "AWS::Logs::LogGroup",
    "AWS::Logs::MetricFilter",
    "AWS::S3::Bucket",
    "AWS::S3::BucketPolicy",
    "AWS::SES::ConfigurationSet",
    "AWS::SES::ConfigurationSetEventDestination",
    "AWS::SNS::Subscription",
    "AWS::SNS::Topic",
    "AWS::SQS::Queue",
    "AWS::SQS::QueuePolicy",
    "AWS::SecretsManager::Secret",
    "AWS::Serverless::Function",
    "AWS::Serverless::HttpApi",
];

#[test]
fn every_type_of_resource_is_known() {
    let template = Template::read();
    let mut violations = Violations::default();
    for (id, resource) in entries(template.section("Resources")) {
        let kind = resource["Type"].as_str().unwrap_or_default();
        violations.unless(TYPES.contains(&kind), || {
            format!(
                "template.yaml, {id}: say in tests/conventions/values.rs what a {kind} must have"
            )
        });
    }
    violations.report();
}

/// Pages of other origins read one operation, with a token that is no cookie.
#[test]
fn pages_of_other_origins_may_read_and_nothing_else() {
    let contract = Document::read();
    let mut violations = Violations::default();
    for (name, wanted, why) in [
        ("allowOrigins", &["*"][..], "a token is needed, which no browser attaches by itself"),
        ("allowMethods", &["GET"], "a widget reads; agents' clients are no pages of other origins"),
        ("allowHeaders", &["authorization"], "the token's header"),
    ] {
        let given = list(contract.at(&format!("/x-amazon-apigateway-cors/{name}")));
        violations.unless(given == wanted, || {
            format!("infra/openapi.yaml, CORS: {name} must be {wanted:?}: {why}")
        });
    }
    violations.unless(contract.at("/x-amazon-apigateway-cors/allowCredentials").is_null(), || {
        "infra/openapi.yaml, CORS: with allowCredentials any page acts as its visitor".to_owned()
    });
    violations.report();
}
