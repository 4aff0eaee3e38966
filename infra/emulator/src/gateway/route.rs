//! Finds the route of a request: exact segments before variables, variables before greedy ones,
//! then `$default`.
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html>

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

use crate::template::{Function, HttpRoute};

/// All routes of the HTTP API.
#[derive(Debug)]
pub(super) struct Routes(Vec<Route>);

#[derive(Debug)]
struct Route {
    /// `POST /conversations/{id}`, or `$default`.
    key: String,
    /// `None` for any.
    method: Option<String>,
    /// `None` for `$default`, which takes every path.
    segments: Option<Vec<Segment>>,
    function: String,
}

/// Sorted by preference.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Exact(String),
    Variable(String),
    Greedy(String),
}

/// The route of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Match<'a> {
    pub(super) key: &'a str,
    pub(super) function: &'a str,
    /// Values of the path's variables, decoded.
    pub(super) parameters: BTreeMap<String, String>,
}

impl Routes {
    pub(super) fn new(functions: &[Function]) -> Self {
        let routes = functions
            .iter()
            .flat_map(|function| function.routes.iter().map(move |route| (function, route)));
        Self(routes.map(|(function, route)| Route::new(route, &function.logical_id)).collect())
    }

    /// Returns the keys of all routes.
    pub(super) fn keys(&self) -> impl Iterator<Item = &String> {
        self.0.iter().map(|route| &route.key)
    }

    /// Returns the best route for a method and a path as it came over the wire.
    pub(super) fn find(&self, method: &str, path: &str) -> Option<Match<'_>> {
        let segments = split(path);
        let fitting =
            self.0.iter().filter_map(|route| Some((route, route.parameters(method, &segments)?)));
        let (route, parameters) =
            fitting.min_by(|(a, _), (b, _)| a.preference().cmp(&b.preference()))?;
        Some(Match { key: &route.key, function: &route.function, parameters })
    }
}

impl Route {
    fn new(route: &HttpRoute, function: &str) -> Self {
        let default = route.path == "$default";
        Self {
            key: if default {
                "$default".to_owned()
            } else {
                format!("{} {}", route.method, route.path)
            },
            method: (route.method != "ANY" && !default).then(|| route.method.clone()),
            segments: (!default)
                .then(|| split(&route.path).into_iter().map(Segment::parse).collect()),
            function: function.to_owned(),
        }
    }

    fn parameters(&self, method: &str, path: &[&str]) -> Option<BTreeMap<String, String>> {
        if self.method.as_deref().is_some_and(|own| own != method) {
            return None;
        }

        let Some(segments) = &self.segments else { return Some(BTreeMap::new()) };
        let greedy = matches!(segments.last(), Some(Segment::Greedy(_)));
        if path.len() < segments.len() || (path.len() > segments.len() && !greedy) {
            return None;
        }

        let mut parameters = BTreeMap::new();
        for (index, segment) in segments.iter().enumerate() {
            let here = path[index];
            match segment {
                Segment::Exact(text) if decode(here) == *text => {}
                Segment::Variable(name) if !here.is_empty() => {
                    parameters.insert(name.clone(), decode(here));
                }
                Segment::Greedy(name) if !here.is_empty() => {
                    parameters.insert(name.clone(), decode(&path[index..].join("/")));
                }
                _ => return None,
            }
        }

        Some(parameters)
    }

    /// Orders routes, best first: the more exact path, then the exact method.
    fn preference(&self) -> (bool, &[Segment], bool) {
        (
            self.segments.is_none(),
            self.segments.as_deref().unwrap_or_default(),
            self.method.is_none(),
        )
    }
}

impl Segment {
    fn parse(text: &str) -> Self {
        match text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
            None => Self::Exact(text.to_owned()),
            Some(name) => match name.strip_suffix('+') {
                Some(name) => Self::Greedy(name.to_owned()),
                None => Self::Variable(name.to_owned()),
            },
        }
    }
}

fn split(path: &str) -> Vec<&str> {
    path.trim_start_matches('/').split('/').collect()
}

/// Decodes a path, as HTTP APIs do before the function sees it.
pub(super) fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes() -> Routes {
        let route = |method: &str, path: &str| {
            Route::new(
                &HttpRoute { method: method.to_owned(), path: path.to_owned() },
                &format!("{method}{path}"),
            )
        };

        Routes(vec![
            route("ANY", "/files/{path+}"),
            route("GET", "/c/{id}"),
            route("ANY", "/c/{id}"),
            route("GET", "/c/mine"),
            route("POST", "/c/{id}/messages"),
        ])
    }

    #[test]
    fn the_most_exact_route_is_taken() {
        for (method, path, key) in [
            ("GET", "/c/mine", Some("GET /c/mine")),
            ("GET", "/c/other", Some("GET /c/{id}")),
            ("PUT", "/c/other", Some("ANY /c/{id}")),
            ("PUT", "/c/mine", Some("ANY /c/{id}")),
            ("POST", "/c/1/messages", Some("POST /c/{id}/messages")),
            ("GET", "/c/1/messages", None),
            ("POST", "/c//messages", None),
            ("POST", "/c/1/messages/", None),
            ("GET", "/files/a/b", Some("ANY /files/{path+}")),
            ("GET", "/files/", None),
            ("GET", "/", None),
        ] {
            assert_eq!(
                routes().find(method, path).map(|found| found.key.to_owned()).as_deref(),
                key,
                "{method} {path}"
            );
        }
    }

    #[test]
    fn variables_are_decoded() {
        let routes = routes();
        assert_eq!(routes.find("GET", "/c/a%20b%2Fc").unwrap().parameters["id"], "a b/c");
        assert_eq!(routes.find("GET", "/files/a/b%20c").unwrap().parameters["path"], "a/b c");
    }
}
