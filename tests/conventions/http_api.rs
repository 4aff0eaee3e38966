//! `infra/http-api.yaml`, what API Gateway makes the HTTP API of, is made of the OpenAPI document.
//! It has what API Gateway can use and nothing else: HTTP APIs know no schemas, and CloudFormation
//! takes no `null`, which examples have.
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-open-api.html>

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use platform::routes::ALLOWED_METHODS;
use yaml_serde::{Mapping, Value};

use crate::contract::Document;
use crate::template::{Template, reference};
use crate::{Violations, pascal_case, read, root};

const PLACE: &str = "infra/http-api.yaml";
const HEAD: &str = "\
# The definition of the HTTP API for API Gateway: the routes of openapi.yaml, and their functions.
# Generated: `cargo test --test conventions` makes it of openapi.yaml, and names the command that
# replaces this file when that has changed.
";
const CORS: &str = "x-amazon-apigateway-cors";
/// A route for every method that has no route of its own; the function answers 405.
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-swagger-extensions-any-method.html>
const ANY_METHOD: &str = "x-amazon-apigateway-any-method";
/// Of a server, in OpenAPI 3; anywhere else API Gateway does not look for it.
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-swagger-extensions-endpoint-configuration.html>.
/// SAM's own property for it takes no definition that is included.
const ENDPOINT_CONFIGURATION: &str = "x-amazon-apigateway-endpoint-configuration";

#[test]
fn it_is_made_of_the_document() {
    let document = Document::read();
    let made =
        HEAD.to_owned() + &yaml_serde::to_string(&definition(&document)).expect("it is plain data");
    let kept = root().join(PLACE);

    if std::fs::read_to_string(&kept).ok().as_ref() != Some(&made) {
        let new = Path::new(env!("CARGO_TARGET_TMPDIR")).join("http-api.yaml");
        std::fs::write(&new, &made).expect("it can be written");
        panic!(
            "infra/openapi.yaml has other routes now:\n  cp {} {}",
            new.display(),
            kept.display()
        );
    }
}

#[test]
fn every_route_has_its_function_and_the_api_may_call_it() {
    let template = Template::read();
    let functions = template.functions();
    let permissions = template.all("AWS::Lambda::Permission");
    let mut violations = Violations::default();

    for (method, path, operation) in Document::read().operations() {
        let folder = operation["x-function"].as_str().unwrap_or_default();
        let Some(function) = functions.iter().find(|function| function.folder == folder) else {
            violations.add(format!(
                "infra/openapi.yaml, {method} {path}: x-function must be the folder of a function, not `{folder}`"
            ));
            continue;
        };
        let allows = |permission: &Value| {
            reference(&permission["FunctionName"]) == Some(function.id)
                && matches!(&permission["SourceArn"], Value::Tagged(arn) if arn.value.as_str().is_some_and(|arn| arn.ends_with(":${Api}/*")))
        };
        violations.unless(permissions.iter().any(|(_, permission)| allows(permission)), || {
            format!(
                "template.yaml: the API may not call {}; add an AWS::Lambda::Permission",
                function.id
            )
        });
    }

    for (id, api) in template.all("AWS::Serverless::HttpApi") {
        let include = &api["DefinitionBody"]["Fn::Transform"];
        violations.unless(
            include["Name"] == "AWS::Include" && include["Parameters"]["Location"] == PLACE,
            || format!("template.yaml, {id}: its DefinitionBody must include {PLACE}"),
        );
        violations.unless(api["FailOnWarnings"] == true, || {
            format!("template.yaml, {id}: without FailOnWarnings what API Gateway does not understand is left out")
        });
    }

    violations.report();
}

#[test]
fn the_methods_of_an_address_are_those_of_the_document() {
    let mut documented: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (method, path, _) in Document::read().operations() {
        documented.entry(path.to_owned()).or_default().insert(method.to_uppercase());
    }

    let listed = ALLOWED_METHODS
        .into_iter()
        .map(|(path, methods)| (path.to_owned(), methods.split(", ").map(str::to_owned).collect()));
    assert_eq!(documented, listed.collect(), "infra/openapi.yaml and platform::routes");
}

/// The switch stands where API Gateway reads it, and says both on and off: an import may keep what
/// it does not mention.
#[test]
fn the_default_address_is_a_setting_of_the_server() {
    let definition: Value = yaml_serde::from_str(&read(PLACE)).expect("it is YAML");
    let servers = &definition["servers"]["Fn::If"];
    let server = &servers[1][0];
    let disables = &server[ENDPOINT_CONFIGURATION]["disableExecuteApiEndpoint"]["Fn::If"];
    let mut violations = Violations::default();

    violations.unless(definition[ENDPOINT_CONFIGURATION].is_null(), || {
        format!("{PLACE}: API Gateway reads {ENDPOINT_CONFIGURATION} of a server alone")
    });
    violations.unless(servers[0] == "ServesApiDomain", || {
        format!("{PLACE}: its server is the domain that API Gateway serves")
    });
    violations.unless(server["url"]["Fn::Sub"] == "https://${ApiDomain}", || {
        format!(
            "{PLACE}: a server without a url is a warning, and FailOnWarnings makes it an error"
        )
    });
    let follows = disables[0] == "DisablesDefaultAddress" && disables[1] == true;
    violations.unless(follows && disables[2] == false, || {
        format!("{PLACE}: ApiDefaultAddress says whether the default address is off")
    });

    violations.report();
}

/// The definition in the words that SAM itself uses for the routes that are events of functions.
fn definition(document: &Document) -> Value {
    let mut paths = Mapping::new();
    let first_of_path = |path: &str| document.operations().find(|(_, other, _)| *other == path);
    let operations: Vec<_> = document.operations().collect();
    let any_other = operations.iter().filter_map(|(method, path, operation)| {
        let (first, ..) = first_of_path(path)?;
        (first == *method).then_some((ANY_METHOD, *path, *operation))
    });
    for (method, path, operation) in operations.iter().copied().chain(any_other) {
        let function = pascal_case(operation["x-function"].as_str().unwrap_or("missing"));
        let invocation = format!(
            "arn:${{AWS::Partition}}:apigateway:${{AWS::Region}}:lambda:path/2015-03-31/functions/${{{function}.Arn}}:live/invocations"
        );
        let integration = mapping([
            ("type", "aws_proxy".into()),
            ("httpMethod", "POST".into()),
            ("payloadFormatVersion", "2.0".into()),
            ("uri", mapping([("Fn::Sub", invocation.into())])),
        ]);
        let parameters =
            path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
        let parameter = |name: &str| {
            mapping([("name", name.into()), ("in", "path".into()), ("required", true.into())])
        };
        let mut route = Mapping::new();
        let parameters: Vec<Value> = parameters.map(parameter).collect();
        if !parameters.is_empty() {
            route.insert("parameters".into(), parameters.into());
        }
        route.insert("responses".into(), Mapping::new().into());
        route.insert("x-amazon-apigateway-integration".into(), integration);
        let item = paths.entry(path.into()).or_insert_with(|| Mapping::new().into());
        item.as_mapping_mut().expect("made above").insert(method.into(), route.into());
    }

    let title = mapping([("Ref", "AWS::StackName".into())]);
    let disables = choice("DisablesDefaultAddress", true.into(), false.into());
    let configuration = mapping([("disableExecuteApiEndpoint", disables)]);
    let url = mapping([("Fn::Sub", "https://${ApiDomain}".into())]);
    let server = mapping([("url", url), (ENDPOINT_CONFIGURATION, configuration)]);
    let none = mapping([("Ref", "AWS::NoValue".into())]);
    mapping([
        ("openapi", document.at("/openapi").clone()),
        ("info", mapping([("title", title), ("version", document.at("/info/version").clone())])),
        (CORS, document.at(&format!("/{CORS}")).clone()),
        ("servers", choice("ServesApiDomain", vec![server].into(), none)),
        ("paths", paths.into()),
    ])
}

fn choice(condition: &str, yes: Value, no: Value) -> Value {
    mapping([("Fn::If", vec![condition.into(), yes, no].into())])
}

fn mapping<const N: usize>(entries: [(&str, Value); N]) -> Value {
    entries.into_iter().map(|(name, value)| (Value::from(name), value)).collect::<Mapping>().into()
}
