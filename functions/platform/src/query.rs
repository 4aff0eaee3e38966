//! Reads the parameters of a request's query. One that is not documented is refused, as an unknown
//! field of a body is: a mistyped filter must not look like a list without matches.

use std::collections::BTreeMap;
use std::fmt;

use lambda_http::{Request, RequestExt};

use domain::problem::{FieldError, MAX_LISTED_ERRORS};

/// The parameters of a query, and what is wrong with them so far.
#[derive(Default)]
pub struct Query {
    values: BTreeMap<String, String>,
    errors: Vec<FieldError>,
}

impl fmt::Debug for Query {
    /// How many parameters there are: they are what the caller sent.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Query({} parameters, {:?})", self.values.len(), self.errors)
    }
}

impl Query {
    /// Takes the query of a request that may have these parameters, each once.
    #[must_use]
    pub fn read(request: &Request, known: &[&str]) -> Query {
        let map = request.query_string_parameters();
        let mut query = Query::default();

        for (name, value) in map.iter() {
            if query.errors.len() > MAX_LISTED_ERRORS {
                break;
            }
            if !known.contains(&name) {
                query.errors.push(FieldError::forbidden(["query", name]));
            } else if query.values.insert(name.to_owned(), value.to_owned()).is_some() {
                let msg = "The parameter may be given only once";
                query.errors.push(FieldError::new(["query", name], msg, "too_long"));
            }
        }
        query
    }

    /// Reads one parameter; `None` if it was not given, or is wrong. `expected` completes the
    /// sentence "Input should be …", and `kind` is the error's `type`.
    pub fn parse<T>(
        &mut self,
        name: &str,
        expected: &str,
        kind: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let value = self.values.get(name)?;
        let parsed = parse(value);
        if parsed.is_none() {
            self.errors.push(FieldError::wrong(["query", name], expected, kind));
        }
        parsed
    }

    /// Reads a parameter that has to be given.
    pub fn require<T>(
        &mut self,
        name: &str,
        expected: &str,
        kind: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        if !self.values.contains_key(name) {
            self.errors.push(FieldError::missing(["query", name]));
        }
        self.parse(name, expected, kind, parse)
    }

    /// Reads a whole number from `least` to `most`, written in digits.
    pub fn number(&mut self, name: &str, least: u64, most: u64) -> Option<u64> {
        let expected = format!("a whole number from {least} to {most}");
        self.parse(name, &expected, "int_parsing", |text| {
            let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
            let digits = Some(text).filter(|text| is_number && text.len() <= MAX_DIGITS);
            let number = digits.and_then(|digits| digits.parse().ok());
            number.filter(|number| (least..=most).contains(number))
        })
    }

    /// Returns what is wrong with the query.
    #[must_use]
    pub fn into_errors(self) -> Vec<FieldError> {
        self.errors
    }
}

/// The most digits of a number: as many as [`domain::Seq::MAX`] has.
const MAX_DIGITS: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use lambda_http::Body;

    fn query(text: &str, known: &[&str]) -> Query {
        let map: aws_lambda_events::query_map::QueryMap = text.parse().expect("a query");
        Query::read(&Request::new(Body::Empty).with_query_string_parameters(map), known)
    }

    fn kinds(query: Query) -> Vec<&'static str> {
        query.into_errors().iter().map(|error| error.kind).collect()
    }

    #[test]
    fn what_is_not_known_or_given_twice_is_refused() {
        assert_eq!(kinds(query("limit=1", &["limit"])), [""; 0]);
        assert_eq!(kinds(query("undocumented=1&a", &["limit"])), ["extra_forbidden"; 2]);
        assert_eq!(kinds(query("limit=1&limit=1", &["limit"])), ["too_long"]);
        let many: Vec<_> = (0..9_999).map(|name| format!("p{name}=")).collect();
        assert_eq!(kinds(query(&many.join("&"), &[])).len(), MAX_LISTED_ERRORS + 1);
    }

    #[test]
    fn a_number_has_bounds() {
        let number = |text: &str| {
            let mut query = query(&format!("n={text}"), &["n"]);
            (query.number("n", 1, 100), kinds(query))
        };
        assert_eq!(number("7"), (Some(7), vec![]));
        for wrong in ["", "0", "101", "+1", "-1", "1.0", "99999999999", "x", "%31%20"] {
            assert_eq!(number(wrong), (None, vec!["int_parsing"]), "{wrong}");
        }
    }

    #[test]
    fn what_is_required_is_missed() {
        let mut missing = query("", &["status"]);
        assert_eq!(missing.require("status", "a status", "enum", |_| Some(())), None);
        assert_eq!(kinds(missing), ["missing"]);
    }
}
