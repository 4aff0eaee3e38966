//! CloudFormation's answers to operators: a stack's outputs, and the physical ids of its resources.
//! It speaks the [query
//! protocol](https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/Welcome.html): a
//! form in, XML out. Faults do not hit it: no function calls it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use http::StatusCode;
use http::header::AUTHORIZATION;
use http::request::Parts;

use super::answer::{self, Answer};
use crate::account::{ACCOUNT_ID, PARTITION, REGION};

const NAMESPACE: &str = "http://cloudformation.amazonaws.com/doc/2010-05-15/";
/// A creation time: the stack is made anew at each start.
const CREATED_AT: &str = "2026-01-01T00:00:00Z";

/// The one stack that is deployed here.
#[derive(Debug)]
pub(crate) struct StackDescription {
    /// Its name.
    pub(crate) name: String,
    /// Its outputs that have a value on this machine.
    pub(crate) outputs: BTreeMap<String, String>,
    /// Physical ids, which are what `!Ref` stands for, by logical ids.
    pub(crate) resources: BTreeMap<String, String>,
}

/// Returns whether a request is for CloudFormation, by the scope of its signature.
pub(super) fn is_for(parts: &Parts) -> bool {
    let authorization = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    authorization.is_some_and(|signed| signed.contains("/cloudformation/aws4_request"))
}

/// Answers a request for CloudFormation.
pub(super) fn answer(stack: &StackDescription, body: &[u8]) -> Answer {
    let form: BTreeMap<_, _> = form_urlencoded::parse(body).into_owned().collect();
    let asked = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    let wanted = asked("StackName");

    if wanted != stack.name {
        let message = format!("Stack with id {wanted} does not exist; here it is {}", stack.name);
        return refusal("ValidationError", &message);
    }

    match asked("Action") {
        action @ "DescribeStacks" => result(action, &stacks(stack)),
        action @ "ListStackResources" => result(action, &resources(stack)),
        action => {
            refusal("InvalidAction", &format!("The local CloudFormation does not know {action}"))
        }
    }
}

fn stacks(stack: &StackDescription) -> String {
    let name = escape(&stack.name);
    let outputs = stack.outputs.iter().fold(String::new(), |mut xml, (key, value)| {
        let key = escape(key);
        let value = escape(value);
        let _ = write!(
            xml,
            "<member><OutputKey>{key}</OutputKey><OutputValue>{value}</OutputValue></member>"
        );
        xml
    });

    format!(
        "<Stacks><member><StackName>{name}</StackName>\
         <StackId>arn:{PARTITION}:cloudformation:{REGION}:{ACCOUNT_ID}:stack/{name}/local</StackId>\
         <CreationTime>{CREATED_AT}</CreationTime><StackStatus>CREATE_COMPLETE</StackStatus>\
         <Outputs>{outputs}</Outputs></member></Stacks>"
    )
}

fn resources(stack: &StackDescription) -> String {
    let members = stack.resources.iter().fold(String::new(), |mut xml, (logical, physical)| {
        let logical = escape(logical);
        let physical = escape(physical);
        let _ = write!(
            xml,
            "<member><LogicalResourceId>{logical}</LogicalResourceId>\
             <PhysicalResourceId>{physical}</PhysicalResourceId><ResourceType>AWS::Local::Resource</ResourceType>\
             <LastUpdatedTimestamp>{CREATED_AT}</LastUpdatedTimestamp>\
             <ResourceStatus>CREATE_COMPLETE</ResourceStatus></member>"
        );
        xml
    });

    format!("<StackResourceSummaries>{members}</StackResourceSummaries>")
}

fn result(action: &str, xml: &str) -> Answer {
    let xml = format!(
        "<{action}Response xmlns=\"{NAMESPACE}\"><{action}Result>{xml}</{action}Result></{action}Response>"
    );
    answer::xml(StatusCode::OK, xml)
}

fn refusal(code: &str, message: &str) -> Answer {
    let code = escape(code);
    let message = escape(message);
    let xml = format!(
        "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>Sender</Type><Code>{code}</Code>\
         <Message>{message}</Message></Error></ErrorResponse>"
    );
    answer::xml(StatusCode::BAD_REQUEST, xml)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
