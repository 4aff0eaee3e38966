//! Templates and their stacks; refused templates and their errors.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::{ApiKind, Stack};

fn parse(text: &str) -> Stack {
    parse_with(text, &[]).unwrap_or_else(|error| panic!("{error}"))
}

fn parse_with(text: &str, parameters: &[(&str, &str)]) -> Result<Stack, String> {
    let parameters =
        parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Stack::parse(text, Path::new(env!("CARGO_MANIFEST_DIR")), &parameters, "probe")
        .map_err(|error| error.to_string())
}

/// A function's environment with references written as `<resource.attribute>`.
fn environment(stack: &Stack, function: &str) -> BTreeMap<String, String> {
    let filled =
        stack.function(function).expect("the function is declared").environment.iter().map(
            |(name, text)| {
                let value = text.fill(|reference| {
                    Some(match &reference.attribute {
                        None => format!("<{}>", reference.resource),
                        Some(attribute) => format!("<{}.{attribute}>", reference.resource),
                    })
                });
                (name.clone(), value.expect("every reference has a value"))
            },
        );

    filled.collect()
}

fn map<const N: usize>(entries: [(&str, &str); N]) -> BTreeMap<String, String> {
    entries.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

const EXPRESSIONS: &str = r#"
Parameters:
  Stage: { Type: String, Default: dev, AllowedValues: [dev, prod] }
  Size: { Type: Number, Default: 3 }
Conditions:
  IsProd: !Equals [!Ref Stage, prod]
  IsSmall: !And [!Not [!Condition IsProd], !Or [!Equals [!Ref Size, 3], !Equals [a, b]]]
Globals:
  Function:
    Environment: { Variables: { A: global, B: global } }
Resources:
  Queue: { Type: AWS::SQS::Queue }
  Only: { Type: AWS::SQS::Queue, Condition: IsProd }
  F:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: functions/f/
      Timeout: !If [IsProd, 30, !Ref Size]
      Environment:
        Variables:
          B: own
          Ref: !Ref Queue
          Att: !GetAtt Queue.Arn
          Long: { Fn::Sub: "${Queue.Arn}/${AWS::Region}" }
          Own: !Sub ["${x}${x}${!y}", { x: !Ref Stage }]
          Joined: !Join [",", [!Ref Stage, !GetAtt [Queue, QueueName], z]]
          Chosen: !If [IsSmall, small, large]
          Absent: !If [IsProd, there, !Ref AWS::NoValue]
Outputs:
  Queue: { Value: !Sub "${AWS::StackName}: ${Queue}" }
  Only: { Condition: IsProd, Value: !Ref Only }
"#;

#[test]
fn expressions_are_evaluated() {
    let stack = parse(EXPRESSIONS);
    assert_eq!(
        environment(&stack, "f"),
        map([
            ("A", "global"),
            ("B", "own"),
            ("Ref", "<Queue>"),
            ("Att", "<Queue.Arn>"),
            ("Long", "<Queue.Arn>/us-east-1"),
            ("Own", "devdev${y}"),
            ("Joined", "dev,<Queue.QueueName>,z"),
            ("Chosen", "small"),
        ])
    );

    assert_eq!(
        (stack.queues.len(), stack.function("F").unwrap().timeout),
        (1, Duration::from_secs(3))
    );

    assert_eq!(stack.outputs.keys().collect::<Vec<_>>(), ["Queue"]);
    let output = stack.outputs["Queue"].fill(|reference| Some(reference.resource.clone()));
    assert_eq!(output.as_deref(), Ok("probe: Queue"));
    let prod = parse_with(EXPRESSIONS, &[("Stage", "prod")]).unwrap();

    assert_eq!(environment(&prod, "f")["Absent"], "there");

    assert_eq!(
        (prod.queues.len(), prod.function("F").unwrap().timeout),
        (2, Duration::from_secs(30))
    );
}

#[test]
fn a_queue_keeps_what_was_declared() {
    let stack = parse(
        "
Resources:
  Orders:
    Type: AWS::SQS::Queue
    Properties:
      FifoQueue: true
      DelaySeconds: 5
      RedrivePolicy: { deadLetterTargetArn: !GetAtt Dead.Arn, maxReceiveCount: '3' }
  Dead: { Type: AWS::SQS::Queue, Properties: { QueueName: dead.fifo, FifoQueue: true } }
  F:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: f
      Events:
        Queue:
          Type: SQS
          Properties:
            Queue: !GetAtt Orders.Arn
            BatchSize: 20
            MaximumBatchingWindowInSeconds: 2
            FunctionResponseTypes: [ReportBatchItemFailures]
            ScalingConfig: { MaximumConcurrency: 7 }
",
    );

    let orders = stack.queues.iter().find(|queue| queue.logical_id == "Orders").unwrap();
    assert_eq!(orders.name, "Orders.fifo");
    assert_eq!(orders.attributes, map([("DelaySeconds", "5"), ("FifoQueue", "true")]));
    let redrive = orders.redrive.as_ref().unwrap();

    assert_eq!((redrive.dead_letters.as_str(), redrive.max_receive_count), ("Dead", 3));
    let source = &stack.functions[0].queues[0];
    assert_eq!(
        (source.queue.as_str(), source.batch_size, source.maximum_concurrency),
        ("Orders", 20, Some(7))
    );

    assert!(source.reports_failures && source.batching_window == Duration::from_secs(2));
}

#[test]
fn a_bucket_keeps_its_rules() {
    let stack = parse(
        "
Resources:
  Files:
    Type: AWS::S3::Bucket
    Properties:
      CorsConfiguration:
        CorsRules:
          - { AllowedOrigins: ['*'], AllowedMethods: [PUT], AllowedHeaders: [content-type], MaxAge: 60 }
      LifecycleConfiguration:
        Rules:
          - { Id: a, Status: Enabled, ExpirationInDays: 2, TagFilters: [{ Key: state, Value: pending }] }
          - { Id: b, Status: Disabled, ExpirationInDays: 1 }
          - { Id: c, Status: Enabled, AbortIncompleteMultipartUpload: { DaysAfterInitiation: 1 } }
          - { Id: d, Status: Enabled, ExpirationInDays: 9, Prefix: old/ }
",
    );

    let bucket = stack.bucket.expect("a bucket");
    assert_eq!((bucket.name.as_str(), bucket.cors[0].max_age), ("files", Some(60)));
    assert_eq!(bucket.cors[0].headers, ["content-type"]);
    let rules: Vec<_> =
        bucket.expirations.iter().map(|rule| (rule.days, rule.prefix.as_str())).collect();

    assert_eq!(rules, [(2, ""), (9, "old/")]);

    assert_eq!(bucket.expirations[0].tags, [("state".to_owned(), "pending".to_owned())]);
}

#[test]
fn apis_are_known_by_kind_and_what_is_for_operators_is_left_out() {
    let stack = parse(
        "
Resources:
  Api:
    Type: AWS::Serverless::HttpApi
    Properties:
      DefinitionBody:
        openapi: 3.0.1
        x-amazon-apigateway-cors:
          allowOrigins: ['*']
          allowMethods: [GET]
          allowHeaders: [authorization]
          exposeHeaders: [apigw-requestid]
          maxAge: 9
  Logs: { Type: AWS::Logs::LogGroup, Properties: { RetentionInDays: 7 } }
  Alarm: { Type: AWS::CloudWatch::Alarm }
Outputs: { Url: { Value: !Ref Api } }
",
    );

    assert_eq!(stack.apis, [("Api".to_owned(), ApiKind::Http)].into());
    let cors = stack.cors.expect("rules for pages of other origins");
    assert_eq!(
        (cors.origins[0].as_str(), cors.methods[0].as_str(), cors.max_age),
        ("*", "GET", Some(9))
    );

    assert_eq!((&cors.headers[0][..], &cors.exposed[0][..]), ("authorization", "apigw-requestid"));
}

#[test]
fn a_function_may_do_what_its_policies_name() {
    let template = r#"
Parameters:
  Identities: { Type: String, Default: any }
Conditions:
  AnyIdentity: !Equals [!Ref Identities, any]
Resources:
  Table: { Type: AWS::SQS::Queue }
  F:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: f
      Policies:
        - Version: "2012-10-17"
          Statement:
            - { Sid: One, Effect: Allow, Action: dynamodb:Put*, Resource: !GetAtt Table.Arn }
            - Effect: Allow
              Action: [dynamodb:Query]
              Resource: [!Sub "${Table.Arn}/index/a?"]
              Condition: { "ForAllValues:StringLike": { "dynamodb:LeadingKeys": ["B#*#C"] } }
        - Statement:
            - Effect: Allow
              Action: ses:SendEmail
              Resource: !If
                - AnyIdentity
                - [!Sub "arn:${AWS::Partition}:ses:${AWS::Region}:${AWS::AccountId}:identity/*"]
                - !Split [",", !Ref Identities]
            - Effect: Allow
              Action: secretsmanager:GetSecretValue
              Resource: !Sub arn:aws:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:shop/*
      Events: { Queue: { Type: SQS, Properties: { Queue: !GetAtt Table.Arn } } }
"#;

    let allows = |stack: &Stack, action: &str, resource: &str, partition: Option<&str>| {
        stack.functions[0].grants.iter().any(|grant| grant.allows(action, resource, partition))
    };
    let stack = parse(template);
    let arn = "arn:aws:secretsmanager:us-east-1:000000000000:secret:shop/a-AbCdEf";
    for (action, resource, partition, expected) in [
        ("dynamodb:PutItem", "Table", Some("any"), true),
        ("DynamoDB:putitem", "Table", None, true),
        ("dynamodb:GetItem", "Table", None, false),
        ("dynamodb:PutItem", "Table/index/a1", None, false),
        ("dynamodb:Query", "Table/index/a1", Some("B#1#C"), true),
        ("dynamodb:Query", "Table/index/a1", None, true),
        ("dynamodb:Query", "Table/index/a1", Some("B#1#D"), false),
        ("dynamodb:Query", "Table/index/a12", Some("B#1#C"), false),
        ("ses:SendEmail", "identity/example.com", None, true),
        ("ses:SendRawEmail", "identity/example.com", None, false),
        ("secretsmanager:GetSecretValue", "shop/a", None, true),
        ("secretsmanager:GetSecretValue", arn, None, true),
        ("secretsmanager:GetSecretValue", "other/a", None, false),
        // Lambda polls the queue by the function's own role.
        ("sqs:DeleteMessage", "Table", None, true),
        ("sqs:SendMessage", "Table", None, false),
    ] {
        let allowed = allows(&stack, action, resource, partition);
        assert_eq!(allowed, expected, "{action} on {resource}, {partition:?}");
    }

    let identity = |domain: &str| format!("arn:aws:ses:us-east-1:000000000000:identity/{domain}");
    let two = [identity("a.example"), identity("b.example")].join(",");
    let stack = parse_with(template, &[("Identities", &two)]).unwrap();
    let may_send = |domain| allows(&stack, "ses:SendEmail", &format!("identity/{domain}"), None);
    assert!(may_send("a.example") && may_send("b.example") && !may_send("c.example"));
}

#[test]
fn what_is_not_understood_is_refused_with_its_place_and_a_way_out() {
    let function = |properties: &str| {
        format!(
            "Resources:\n  F:\n    Type: AWS::Serverless::Function\n    Properties: {{ CodeUri: f, {properties} }}\n"
        )
    };

    let rule = |properties: &str| {
        function(&format!(
            "Events: {{ E: {{ Type: EventBridgeRule, Properties: {{ {properties} }} }} }}"
        ))
    };

    let api = |definition: &str| {
        format!(
            "Resources: {{ A: {{ Type: AWS::Serverless::HttpApi, Properties: {{ DefinitionBody: {definition} }} }} }}"
        )
    };

    let queue = |properties: &str| {
        format!("Resources: {{ Q: {{ Type: AWS::SQS::Queue, Properties: {{ {properties} }} }} }}")
    };

    for (template, expected) in [
        (
            "Resources: { A: { Type: AWS::Serverless::HttpApi } }".to_owned(),
            "Resources.A.Properties: has no DefinitionBody",
        ),
        (
            api("{ x-amazon-apigateway-endpoint-configuration: {} }"),
            "Resources.A.Properties.DefinitionBody.x-amazon-apigateway-endpoint-configuration: the local system does not",
        ),
        (
            api("{ servers: [{ x-amazon-apigateway-endpoint-configuration: {} }] }"),
            "Resources.A.Properties.DefinitionBody.servers[0].url: is missing",
        ),
        (
            api("{ paths: { /a: { get: { security: [] } } } }"),
            "Resources.A.Properties.DefinitionBody.paths./a.get: has no x-amazon-apigateway-integration",
        ),
        (
            api(
                "{ paths: { /a: { get: { x-amazon-apigateway-integration: { type: http_proxy } } } } }",
            ),
            "Resources.A.Properties.DefinitionBody.paths./a.get.x-amazon-apigateway-integration: integrations of type",
        ),
        (
            api(
                "{ Fn::Transform: { Name: AWS::Include, Parameters: { Location: nowhere.yaml } } }",
            ),
            "Resources.A.Properties.DefinitionBody: nowhere.yaml cannot be read",
        ),
        (
            api("{ Fn::Transform: { Name: Upper } }"),
            "Resources.A.Properties.DefinitionBody: the local system does not know the macro Upper",
        ),
        (
            api(
                "{ Fn::Transform: { Name: AWS::Include, Parameters: { Location: tests/probe/http-api.yaml } } }",
            ),
            "Resources.A.Properties.DefinitionBody.paths./echo/{name}.post.x-amazon-apigateway-integration.uri: !GetAtt \
             Echo.Arn: there is no such parameter or resource",
        ),
        (
            "Resources: { B: { Type: AWS::EFS::FileSystem } }".to_owned(),
            "Resources.B: the local system does not know the type AWS::EFS::FileSystem",
        ),
        (
            queue("Colour: red"),
            "Resources.Q.Properties.Colour: the local system does not know this property",
        ),
        (
            queue("DelaySeconds: !FindInMap [a, b, c]"),
            "Resources.Q.Properties.DelaySeconds: the local system does not evaluate !FindInMap",
        ),
        (
            queue("QueueName: !Ref Nothing"),
            "Resources.Q.Properties.QueueName: !Ref Nothing: there is no such parameter or resource",
        ),
        (
            queue("RedrivePolicy: { deadLetterTargetArn: arn, maxReceiveCount: 1 }"),
            "Resources.Q.Properties.RedrivePolicy.deadLetterTargetArn: must name one resource",
        ),
        (
            function("Timeout: soon"),
            "Resources.F.Properties.Timeout: `soon` is out of range or of the wrong type",
        ),
        (
            function("Events: { E: { Type: S3, Properties: {} } }"),
            "Resources.F.Properties.Events.E: the local system does not know events of type S3",
        ),
        (
            function(
                "Events: { E: { Type: Schedule, Properties: { Schedule: cron(0 * * * ? *) } } }",
            ),
            "Resources.F.Properties.Events.E.Properties: the local system ticks rate(…) schedules",
        ),
        (
            rule("Pattern: { source: [{ prefix: aws }] }"),
            "Resources.F.Properties.Events.E.Properties.Pattern.source: is not a text",
        ),
        (
            rule("Pattern: { source: [a], detail: { status: [{ prefix: b }] } }"),
            "Resources.F.Properties.Events.E.Properties.Pattern.detail.status: is not a text",
        ),
        (
            rule("Pattern: { source: [a], region: [b] }"),
            "Resources.F.Properties.Events.E.Properties.Pattern.region: the local system does not know this property",
        ),
        (
            function("EventInvokeConfig: { MaximumEventAgeInSeconds: 59 }"),
            "Resources.F.Properties.EventInvokeConfig: MaximumEventAgeInSeconds is in 60..=21600",
        ),
        (
            "Rules: { R: { Assertions: [{ Assert: !Equals [a, b], AssertDescription: never }] } }"
                .to_owned(),
            "Rules.R: never",
        ),
        (
            rule("Pattern: {}"),
            "Resources.F.Properties.Events.E.Properties.Pattern: names neither a source nor a detail-type",
        ),
        (rule("State: ENABLED"), "Resources.F.Properties.Events.E.Properties: has no Pattern"),
        (
            rule("EventBusName: other, Pattern: { source: [a] }"),
            "Resources.F.Properties.Events.E.Properties.EventBusName: the local system does not know this property",
        ),
        (
            function("Events: { E: { Type: SQS, Properties: { Queue: !Ref F } } }"),
            "Resources.F.Properties.Events: `F` is not a queue",
        ),
        (
            function("Policies: [AWSLambdaBasicExecutionRole]"),
            "Resources.F.Properties.Policies[0]: is not a mapping",
        ),
        (
            function("Policies: [{ SQSPollerPolicy: { QueueName: q } }]"),
            "Resources.F.Properties.Policies[0].SQSPollerPolicy: the local system does not know this property",
        ),
        (
            function(
                "Policies: [{ Statement: [{ Effect: Deny, Action: 's3:*', Resource: '*' }] }]",
            ),
            "Resources.F.Properties.Policies[0].Statement[0]: the local system knows no Effect but Allow",
        ),
        (
            function("Policies: [{ Statement: [{ Effect: Allow, NotAction: 's3:*' }] }]"),
            "Resources.F.Properties.Policies[0].Statement[0].NotAction: the local system does not know this property",
        ),
        (
            function("Policies: [{ Statement: [{ Effect: Allow, Condition: { Bool: {} } }] }]"),
            "Resources.F.Properties.Policies[0].Statement[0].Condition: the local system knows ForAllValues:StringLike",
        ),
        (
            function("Role: !GetAtt Other.Arn"),
            "Resources.F.Properties.Role: the local system does not know this property",
        ),
        (
            "Resources: { Q: { Type: AWS::SQS::Queue, Propertys: {} } }".to_owned(),
            "Resources.Q.Propertys: a resource has no such key",
        ),
        (
            "Mappings: {}\nResources: {}".to_owned(),
            "Mappings: the local system does not know this section",
        ),
        (
            "Parameters: { P: { Type: String } }".to_owned(),
            "Parameters.P: has no Default and was given no value",
        ),
        ("- not\n- a template".to_owned(), "template: is not YAML as CloudFormation reads it"),
    ] {
        let error = parse_with(&template, &[]).expect_err(&template);
        assert!(error.starts_with(expected), "expected: {expected}\n     got: {error}");
    }

    let unknown = parse_with("Resources: {}", &[("Nope", "1")]).unwrap_err();
    assert_eq!(unknown, "Parameters.Nope: the template declares no such parameter");
    let outside = parse_with(EXPRESSIONS, &[("Stage", "test")]).unwrap_err();

    assert_eq!(outside, "Parameters.Stage: `test` is not one of its AllowedValues");
}
