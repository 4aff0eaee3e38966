//! CloudWatch's patterns for lines of a log, as far as the runbooks use them: conditions on JSON,
//! and words of which one has to be there. The rules are
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html>.

use serde_json::Value;

/// A pattern.
#[derive(Debug, PartialEq)]
pub(super) enum FilterPattern {
    /// `{ $.a = "b" && $.c = 1 || … }`: one of these, in which all conditions hold.
    Json(Vec<Vec<Condition>>),
    /// `?word ?"two words"`: one of these.
    AnyWord(Vec<String>),
}

/// `$.name = "value"`, or `!=`.
#[derive(Debug, PartialEq)]
pub(super) struct Condition {
    name: String,
    is_equal: bool,
    value: String,
}

impl FilterPattern {
    /// Parses a pattern; panics at what CloudWatch would not take.
    pub(super) fn parse(pattern: &str) -> FilterPattern {
        let inner = pattern.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        let Some(inner) = inner else {
            return FilterPattern::AnyWord(words(pattern));
        };
        let all = |part: &str| part.split("&&").map(Condition::parse).collect();
        FilterPattern::Json(inner.split("||").map(all).collect())
    }

    /// Whether it matches a line.
    pub(super) fn matches(&self, line: &str) -> bool {
        match self {
            FilterPattern::Json(any) => serde_json::from_str(line).is_ok_and(|line: Value| {
                any.iter().any(|all| all.iter().all(|condition| condition.holds(&line)))
            }),
            FilterPattern::AnyWord(words) => words.iter().any(|word| line.contains(word)),
        }
    }
}

/// Splits `?one ?"two words"`.
fn words(pattern: &str) -> Vec<String> {
    let parts = pattern.split('?').map(str::trim).filter(|part| !part.is_empty());
    parts.map(|part| part.trim_matches('"').to_owned()).collect()
}

impl Condition {
    fn parse(text: &str) -> Condition {
        let text = text.trim();
        let is_equal = !text.contains("!=");
        let (name, value) = text.split_once(if is_equal { "=" } else { "!=" }).expect("= or !=");
        let name = name.trim().strip_prefix("$.").expect("a member, $.name").to_owned();
        let value = value.trim();
        let is_number = value.parse::<f64>().is_ok();
        assert!(is_number || value.starts_with('"'), "{value}: a number, or a text in quotes");
        Condition { name, is_equal, value: value.trim_matches('"').to_owned() }
    }

    /// A condition on a member that is not there does not hold.
    fn holds(&self, line: &Value) -> bool {
        let found = match &line[&self.name] {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return false,
        };
        let is_same = match self.value.split_once('*') {
            Some((begin, end)) => found.starts_with(begin) && found.ends_with(end),
            None => found == self.value,
        };
        is_same == self.is_equal
    }
}

#[test]
fn patterns_match_as_cloudwatch_says() {
    let line = r#"{"level":"WARN","status":503,"message":"in doubt","code":"131026"}"#;
    for (pattern, matches) in [
        (r#"{ $.level = "ERROR" || $.level = "WARN" }"#, true),
        (r#"{ $.level = "ERROR" }"#, false),
        (r#"{ $.message = "in doubt" && $.status = 503 }"#, true),
        (r#"{ $.message = "in doubt" && $.status = 500 }"#, false),
        (r#"{ $.code = "*" }"#, true),
        (r#"{ $.code = "131*" }"#, true),
        (r#"{ $.code = "132*" }"#, false),
        (r#"{ $.other = "*" }"#, false),
        ("{ $.status != 200 }", true),
        (r#"?"in doubt" ?panicked"#, true),
        ("?panicked ?killed", false),
    ] {
        assert_eq!(FilterPattern::parse(pattern).matches(line), matches, "{pattern}");
    }
}
