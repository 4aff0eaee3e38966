//! The grants of roles and resource policies: named actions on named resources.

use std::collections::BTreeSet;

use yaml_serde::Value;

use crate::Violations;
use crate::template::{Template, list, reference, words};

const PERMISSION: &str = "AWS::Lambda::Permission";

/// Which grant may end in `*`, and why it names no more.
const WILDCARDS: &[(&str, &[&str], &str)] = &[
    (
        "${Files.Arn}/*",
        &["s3:GetObject", "s3:PutObject", "s3:PutObjectTagging"],
        "objects have the ids of their uploads",
    ),
    (
        "${ChatApi}/live/POST/@connections/*",
        &["execute-api:ManageConnections"],
        "connections have the ids that API Gateway gives them",
    ),
    (
        "${ChatApi}/live/DELETE/@connections/*",
        &["execute-api:ManageConnections"],
        "connections have the ids that API Gateway gives them",
    ),
    (
        ":secret:${AWS::StackName}/whatsapp/*",
        &["secretsmanager:GetSecretValue"],
        "operators make a secret for each channel",
    ),
    (
        ":identity/*",
        &["ses:SendEmail", "ses:SendRawEmail"],
        "each e-mail channel has an identity of its own",
    ),
];

/// The condition of each grant on the table's items.
const LEADING_KEYS: (&str, &str) = ("ForAllValues:StringLike", "dynamodb:LeadingKeys");

#[test]
fn roles_grant_named_actions_on_named_resources() {
    let template = Template::read();
    let mut violations = Violations::default();

    for function in template.functions() {
        let id = function.id;
        let policies = function.properties["Policies"].as_sequence().into_iter().flatten();
        for policy in policies {
            violations.unless(policy["Statement"].is_sequence(), || {
                format!(
                    "template.yaml, {id}: {} grants more than one reads here; write the statements",
                    words(policy)
                )
            });
            for statement in policy["Statement"].as_sequence().into_iter().flatten() {
                check_grant(id, statement, &mut violations);
            }
        }
    }

    let role = template.properties("GatewayLogsRole", "AWS::IAM::Role");
    violations.unless(role["Policies"].is_null(), || {
        "template.yaml, GatewayLogsRole: API Gateway's own policy is all it has".to_owned()
    });
    for policy in list(&role["ManagedPolicyArns"]) {
        violations.unless(policy.ends_with("/AmazonAPIGatewayPushToCloudWatchLogs"), || {
            format!("template.yaml, GatewayLogsRole: {policy} is more than writing logs needs")
        });
    }

    violations.report();
}

fn check_grant(id: &str, statement: &Value, violations: &mut Violations) {
    let actions = list(&statement["Action"]);
    let resources = list(&statement["Resource"]);
    let foreign = ["NotAction", "NotResource"];
    for name in foreign.iter().filter(|name| !statement[**name].is_null()) {
        violations.add(format!("template.yaml, {id}: a grant with {name} cannot be measured"));
    }
    check_condition(id, statement, violations);

    violations.unless(!actions.is_empty() && !resources.is_empty(), || {
        format!("template.yaml, {id}: a grant names its actions and its resources")
    });
    for action in &actions {
        let named = action.split_once(':').is_some_and(|(_, name)| !name.contains(['*', '?']));
        violations.unless(named, || {
            format!("template.yaml, {id}: name the actions that it needs instead of {action}")
        });
    }

    for resource in resources.iter().filter(|resource| resource.contains(['*', '?'])) {
        let allowed = WILDCARDS.iter().find(|(end, ..)| resource.ends_with(end));
        let stars = resource.matches(['*', '?']).count();
        let all_meant = allowed.is_some_and(|(_, meant, _)| {
            stars == 1 && actions.iter().all(|action| meant.contains(&action.as_str()))
        });
        violations.unless(all_meant, || {
            format!(
                "template.yaml, {id}: {resource} is too much for {actions:?}; name the resource"
            )
        });
    }
}

/// A grant on the table's items names their partitions, one on an index may, and no other grant has
/// a condition: tests/least-privilege measures nothing else.
fn check_condition(id: &str, statement: &Value, violations: &mut Violations) {
    let condition = &statement["Condition"];
    let is_index = list(&statement["Resource"]).iter().all(|arn| arn.contains("/index/"));
    if condition.is_null() && is_index {
        return;
    }
    if reference(&statement["Resource"]) != Some("Table") && !is_index {
        violations.unless(condition.is_null(), || {
            format!("template.yaml, {id}: a grant with a Condition cannot be measured")
        });
        return;
    }

    let (operator, key) = LEADING_KEYS;
    let partitions = list(&condition[operator][key]);
    let has_no_other = condition.as_mapping().is_some_and(|all| all.len() == 1)
        && condition[operator].as_mapping().is_some_and(|all| all.len() == 1);
    let all_named = partitions.iter().all(|partition| !partition.starts_with(['*', '?']));
    violations.unless(has_no_other && !partitions.is_empty() && all_named, || {
        format!("template.yaml, {id}: name the partitions that it needs: {operator} {key}")
    });
}

#[test]
fn only_our_own_services_are_let_in() {
    let template = Template::read();
    let mut violations = Violations::default();

    for kind in ["AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy"] {
        for (id, policy) in template.all(kind) {
            let statements = policy["PolicyDocument"]["Statement"].as_sequence();
            for statement in statements.into_iter().flatten() {
                let service = statement["Principal"]["Service"].is_string();
                let bound = !statement["Condition"].is_null();
                let allows = statement["Effect"] != "Deny";
                violations.unless(!allows || service && bound, || {
                    format!(
                        "template.yaml, {id}: it lets in others than one service on one condition"
                    )
                });
                let actions = list(&statement["Action"]);
                violations.unless(!allows || actions.iter().all(|it| !it.contains('*')), || {
                    format!("template.yaml, {id}: name the actions that the service needs")
                });
            }
        }
    }

    let policy = template.properties("FilesPolicy", "AWS::S3::BucketPolicy");
    let statements = policy["PolicyDocument"]["Statement"].as_sequence().into_iter().flatten();
    let refuses_plain_http = |statement: &Value| {
        let resources: BTreeSet<String> = list(&statement["Resource"]).into_iter().collect();
        let all = ["!GetAtt Files.Arn", "${Files.Arn}/*"].map(str::to_owned).into();
        statement["Effect"] == "Deny"
            && statement["Principal"] == "*"
            && statement["Action"] == "s3:*"
            && resources == all
            && statement["Condition"]["Bool"]["aws:SecureTransport"] == "false"
    };
    let statements: Vec<&Value> = statements.collect();
    violations.unless(statements.iter().any(|statement| refuses_plain_http(statement)), || {
        "template.yaml, FilesPolicy: refuse whatever comes without TLS, to the bucket and to every object".to_owned()
    });
    violations.unless(reference(&policy["Bucket"]) == Some("Files"), || {
        "template.yaml, FilesPolicy: it is the policy of Files".to_owned()
    });

    let policies = template.all("AWS::SQS::QueuePolicy");
    for (queue, _) in template.all("AWS::SQS::Queue") {
        let refuses_plain_http = |statement: &Value| {
            statement["Effect"] == "Deny"
                && statement["Principal"] == "*"
                && statement["Action"] == "sqs:*"
                && statement["Condition"]["Bool"]["aws:SecureTransport"] == "false"
        };
        // A queue has one policy: a second one would take the place of the first.
        let own: Vec<&Value> = policies
            .iter()
            .map(|(_, policy)| *policy)
            .filter(|policy| {
                let queues = policy["Queues"].as_sequence().into_iter().flatten();
                queues.into_iter().any(|one| reference(one) == Some(queue))
            })
            .collect();
        let statements =
            own.iter().filter_map(|one| one["PolicyDocument"]["Statement"].as_sequence());
        let refuses = statements.flatten().any(refuses_plain_http);
        violations.unless(own.len() == 1 && refuses, || {
            format!(
                "template.yaml, {queue}: have one policy refuse whatever comes to it without TLS"
            )
        });
    }

    for (id, permission) in template.all(PERMISSION) {
        let source = list(&permission["SourceArn"]).concat();
        let one_api = source.contains(":${Api}/") || source.contains(":${ChatApi}/");
        violations.unless(one_api, || {
            format!("template.yaml, {id}: only our own API may call it, set its SourceArn")
        });
    }

    violations.report();
}
