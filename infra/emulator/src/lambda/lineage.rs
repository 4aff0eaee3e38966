//! Recursive-loop detection: how often each function was invoked in one chain of requests. Lambda
//! keeps the counts in X-Ray's trace header, and the SDK sends that header along with every call.
//! <https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html>

use std::collections::BTreeMap;
use std::fmt;

/// Most invocations of a function in one chain of requests. Lambda says "approximately 16".
const MOST_INVOCATIONS: u32 = 16;

/// The part of a trace header that has the counts.
const PART: &str = "Lineage=";

/// Invocations of each function in one chain of requests, by logical id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Lineage(BTreeMap<String, u32>);

impl Lineage {
    /// Reads the counts of a trace header; a header without any begins a chain.
    pub(crate) fn of_header(header: &str) -> Self {
        let part = header.split(';').find_map(|part| part.trim().strip_prefix(PART));
        let entries = part.into_iter().flat_map(|part| part.split('|'));
        let entries = entries.filter_map(|entry| entry.split_once(':'));
        Self(entries.filter_map(|(id, count)| Some((id.to_owned(), count.parse().ok()?))).collect())
    }

    /// Returns the counts with one more invocation of a function.
    pub(super) fn and(mut self, function: &str) -> Self {
        *self.0.entry(function.to_owned()).or_default() += 1;
        self
    }

    /// Takes the greater of both counts, as for a batch out of several chains.
    pub(crate) fn join(&mut self, other: Self) {
        for (function, count) in other.0 {
            let own = self.0.entry(function).or_default();
            *own = count.max(*own);
        }
    }

    /// Returns whether the next invocation of a function is one too many.
    pub(crate) fn is_loop_of(&self, function: &str) -> bool {
        self.0.get(function).is_some_and(|count| *count >= MOST_INVOCATIONS)
    }
}

impl fmt::Display for Lineage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries: Vec<String> =
            self.0.iter().map(|(function, count)| format!("{function}:{count}")).collect();
        write!(f, "{PART}{}", entries.join("|"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_counted_by_function_through_trace_headers() {
        let mut lineage = Lineage::of_header("Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0");
        assert_eq!(lineage, Lineage::default());

        for _ in 0..16 {
            assert!(!lineage.is_loop_of("Worker"));
            let header =
                format!("Root=1-0-0;Parent=0;{};Sampled=0", lineage.and("Worker").and("Other"));
            lineage = Lineage::of_header(&header);
        }

        assert!(lineage.is_loop_of("Worker"));
        assert!(!lineage.is_loop_of("Third"));
    }

    #[test]
    fn a_batch_continues_its_longest_chain() {
        let mut batch = Lineage::of_header("Lineage=A:3|B:1");
        batch.join(Lineage::of_header("Lineage=A:2|B:5"));
        assert_eq!(batch.to_string(), "Lineage=A:3|B:5");
    }
}
