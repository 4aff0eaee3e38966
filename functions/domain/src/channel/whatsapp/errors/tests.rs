use super::*;

/// A verdict: its kind, our word, and the wait in seconds.
type Verdict = (&'static str, &'static str, Option<u64>);

const fn permanent(word: &'static str) -> Verdict {
    ("permanent", word, None)
}

const fn transient(word: &'static str) -> Verdict {
    ("transient", word, None)
}

const fn waits(word: &'static str, seconds: u64) -> Verdict {
    ("transient", word, Some(seconds))
}

const fn channel(word: &'static str, seconds: u64) -> Verdict {
    ("channel", word, Some(seconds))
}

const TOKEN: Verdict = channel("token_rejected", 60);
const PERMISSION: Verdict = channel("not_permitted", 60);
const CALL_LIMIT: Verdict = channel("rate_limited", 60);
const WRONG_ID: Verdict = channel("channel_misconfigured", 60);
const BLOCKED: Verdict = channel("account_blocked", 900);
const PROVIDER: Verdict = transient("provider_error");
const REJECTED: Verdict = permanent("message_rejected");
const UNREACHABLE: Verdict = permanent("recipient_unreachable");
const FILE: Verdict = permanent("file_rejected");
const TEMPLATE: Verdict = permanent("template_unusable");

/// Every code with the status that Meta's pages give it, and what it must mean; written down
/// from those pages and not from the table that they test.
const CODES: &[(i64, u16, Verdict)] = &[
    (0, 401, TOKEN),
    (1, 400, PROVIDER),
    (2, 503, PROVIDER),
    (3, 500, PERMISSION),
    (4, 400, CALL_LIMIT),
    (10, 403, PERMISSION),
    (17, 400, CALL_LIMIT),
    (32, 400, CALL_LIMIT),
    (33, 400, WRONG_ID),
    (100, 400, REJECTED),
    (102, 401, TOKEN),
    (190, 401, TOKEN),
    (200, 403, PERMISSION),
    (230, 403, PERMISSION),
    (299, 403, PERMISSION),
    (341, 400, CALL_LIMIT),
    (368, 403, BLOCKED),
    (613, 400, CALL_LIMIT),
    (803, 400, WRONG_ID),
    (2_500, 400, WRONG_ID),
    (80_000, 400, CALL_LIMIT),
    (80_004, 400, CALL_LIMIT),
    (80_007, 400, CALL_LIMIT),
    (80_008, 400, CALL_LIMIT),
    (80_014, 400, CALL_LIMIT),
    (130_429, 429, transient("rate_limited")),
    (130_472, 400, UNREACHABLE),
    (130_497, 403, permanent("account_blocked")),
    (131_000, 500, PROVIDER),
    (131_005, 403, PERMISSION),
    (131_008, 400, REJECTED),
    (131_009, 400, REJECTED),
    (131_016, 500, PROVIDER),
    (131_021, 400, UNREACHABLE),
    (131_026, 400, UNREACHABLE),
    (131_030, 400, UNREACHABLE),
    (131_031, 403, BLOCKED),
    (131_037, 400, channel("not_permitted", 900)),
    (131_042, 400, BLOCKED),
    (131_045, 500, PERMISSION),
    (131_047, 400, permanent("outside_messaging_window")),
    (131_048, 400, channel("rate_limited", 900)),
    (131_049, 400, UNREACHABLE),
    (131_050, 400, UNREACHABLE),
    (131_051, 400, REJECTED),
    (131_052, 400, FILE),
    (131_053, 400, FILE),
    (131_056, 400, waits("rate_limited", 6)),
    (131_057, 500, channel("account_in_maintenance", 60)),
    (131_062, 400, REJECTED),
    (132_000, 400, TEMPLATE),
    (132_001, 404, TEMPLATE),
    (132_005, 400, TEMPLATE),
    (132_007, 400, TEMPLATE),
    (132_012, 400, TEMPLATE),
    (132_015, 400, TEMPLATE),
    (132_016, 400, TEMPLATE),
    (132_018, 400, TEMPLATE),
    (132_068, 400, TEMPLATE),
    (132_069, 400, waits("rate_limited", 900)),
    (133_004, 503, PROVIDER),
    (133_010, 400, PERMISSION),
    (134_011, 500, BLOCKED),
    (135_000, 400, REJECTED),
];

fn shown(failure: &Failure) -> (&'static str, &str, Option<u64>) {
    match failure {
        Failure::Permanent(reason) => ("permanent", &reason.code, None),
        Failure::Transient { reason, retry_after } => {
            ("transient", &reason.code, retry_after.map(|wait| wait.as_secs()))
        }
        Failure::ChannelDown { reason, wait } => ("channel", &reason.code, Some(wait.as_secs())),
        Failure::Unknown(reason) => ("unknown", &reason.code, None),
        Failure::Away => panic!("WhatsApp knows no such failure"),
    }
}

fn provider_code(failure: &Failure) -> Option<&str> {
    match failure {
        Failure::Permanent(reason)
        | Failure::Transient { reason, .. }
        | Failure::ChannelDown { reason, .. }
        | Failure::Unknown(reason) => reason.provider_code.as_deref(),
        Failure::Away => None,
    }
}

fn coded(code: i64) -> GraphError {
    GraphError { code: Some(code), ..GraphError::default() }
}

#[test]
fn every_code_has_its_verdict_with_its_own_status_and_with_any_other() {
    for (code, own, verdict) in CODES {
        for status in [*own, 200, 400, 401, 403, 404, 429, 500, 503] {
            let failure = failure(status, coded(*code), None);
            assert_eq!(shown(&failure), *verdict, "{code} with {status}");
            assert_eq!(provider_code(&failure), Some(&*code.to_string()));
        }
    }
}

#[test]
fn every_listed_code_is_in_the_tests_table_and_none_is_twice() {
    let listed: Vec<i64> =
        ERRORS.iter().flat_map(|group| group.codes).map(|(code, _)| *code).collect();
    let mut once = listed.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), listed.len());

    let tested = |code: &i64| CODES.iter().any(|(known, ..)| known == code);
    let untested: Vec<_> = listed.iter().filter(|code| !tested(code)).collect();
    assert!(untested.is_empty(), "{untested:?}");
}

#[test]
fn a_subcode_tells_a_wrong_number_id_from_a_wrong_parameter() {
    let of = |code, subcode| {
        let error = GraphError { subcode: Some(subcode), ..coded(code) };
        failure(400, error, None)
    };
    assert_eq!(shown(&of(100, 33)), WRONG_ID);
    assert_eq!(provider_code(&of(100, 33)), Some("100"));
    for (code, subcode, verdict) in [
        (100, 2_388_003, REJECTED),
        (17, 2_446_079, CALL_LIMIT),
        (613, 1_996, CALL_LIMIT),
        (190, 460, TOKEN),
        (190, 463, TOKEN),
        (190, 467, TOKEN),
        (10, 2_018_278, PERMISSION),
    ] {
        assert_eq!(shown(&of(code, subcode)), verdict, "{code}/{subcode}");
    }
}

#[test]
fn a_transient_error_fails_no_message() {
    for (code, _, verdict) in CODES {
        let error = GraphError { is_transient: true, ..coded(*code) };
        let failure = failure(400, error, None);
        let (kind, word, wait) = shown(&failure);
        let expected = if verdict.0 == "permanent" { "transient" } else { verdict.0 };
        assert_eq!((kind, word, wait), (expected, verdict.1, verdict.2), "{code}");
    }
    let error = GraphError { is_transient: true, ..GraphError::default() };
    for status in [200, 400, 500] {
        assert_eq!(shown(&failure(status, error, None)).0, "transient", "{status}");
    }
}

#[test]
fn a_code_that_is_not_listed_keeps_its_number_and_follows_its_status() {
    for code in [-1, 5, 199, 300, 506, 79_999, 80_100, 131_999, 999_999_999] {
        for (status, verdict) in [
            (200, PROVIDER),
            (400, REJECTED),
            (401, PERMISSION),
            (403, PERMISSION),
            (404, REJECTED),
            (408, PROVIDER),
            (429, transient("rate_limited")),
            (500, PROVIDER),
            (503, PROVIDER),
        ] {
            let failure = failure(status, coded(code), None);
            assert_eq!(shown(&failure), verdict, "{code} with {status}");
            assert_eq!(provider_code(&failure), Some(&*code.to_string()));
        }
    }

    for number in [15_551_234_567, i64::MAX, i64::MIN] {
        let failure = failure(400, coded(number), None);
        assert_eq!(shown(&failure), REJECTED);
        assert_eq!(provider_code(&failure), None, "{number} may be a phone number");
    }
}

#[test]
fn the_longer_wait_wins() {
    let asked = |code, seconds| {
        let failure = failure(400, coded(code), Some(Duration::from_secs(seconds)));
        shown(&failure).2
    };
    assert_eq!((asked(131_056, 1), asked(131_056, 9)), (Some(6), Some(9)));
    assert_eq!((asked(190, 1), asked(190, 600)), (Some(60), Some(600)));
    assert_eq!((asked(130_429, 30), asked(2, 30)), (Some(30), Some(30)));
}

#[test]
fn a_receipt_of_failure_always_has_a_reason() {
    for (code, _, (_, word, _)) in CODES {
        let reason = failure_reason(Some(*code));
        assert_eq!((&*reason.code, reason.provider_code), (*word, Some(code.to_string())));
    }
    let unknown = failure_reason(Some(999));
    assert_eq!((&*unknown.code, unknown.provider_code.as_deref()), ("undeliverable", Some("999")));
    assert_eq!(failure_reason(None).provider_code, None);
}
