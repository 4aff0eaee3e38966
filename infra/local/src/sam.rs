//! The variables for `sam local`'s option `--env-vars`, so that functions in its containers use the
//! AWS that runs here.

use std::collections::BTreeMap;

use emulator::Engine;

/// A function's variables, for `sam local`.
type Variables<'a> = BTreeMap<&'a str, &'a str>;

/// Returns every function's variables, by logical id. SAM sets those that the template declares for
/// the function, and no others.
/// <https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/serverless-sam-cli-using-invoke.html>
pub(crate) fn variables(engine: &Engine) -> BTreeMap<&str, Variables<'_>> {
    fn every<'a>(environment: &'a BTreeMap<String, String>, endpoint: &'a str) -> Variables<'a> {
        let own = environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        // One variable for all services that are behind one endpoint here keeps the template short.
        own.chain([("AWS_ENDPOINT_URL", endpoint)]).collect()
    }
    let environments = engine.environments();
    environments
        .into_iter()
        .map(|(function, environment)| (function, every(environment, engine.dynamodb_url())))
        .collect()
}
