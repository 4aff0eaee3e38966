//! The emulator understands this repository's own template.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use emulator::template::Stack;

#[test]
fn the_systems_own_template_is_understood_to_the_last_property() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../template.yaml");
    let stack =
        Stack::read(&path, &BTreeMap::new(), "pingback").unwrap_or_else(|error| panic!("{error}"));

    let table = stack.table.as_ref().expect("there is a table");
    assert_eq!((table.keys.partition.as_str(), table.keys.sort.as_deref()), ("pk", Some("sk")));
    assert_eq!(table.time_to_live.as_deref(), Some("expires_at"));

    let polled = stack.functions.iter().flat_map(|function| &function.queues);
    let redriven = |id: &str| {
        stack.queues.iter().any(|queue| queue.logical_id == id && queue.redrive.is_some())
    };
    assert!(polled.clone().count() > 0);
    assert!(
        polled.clone().all(|source| redriven(&source.queue) || source.queue == "HelloTimers"),
        "every queue that is worked off has its dead letters, but for timers, which are soon over"
    );

    let send = stack.function("send-message").expect("the function goes by its folder");
    assert_eq!(send.logical_id, "SendMessage");
    assert_eq!(send.routes[0].path, "/api/v1/conversations/{conversation_id}/messages");
    let sweep = stack.function("SweepOutbox").expect("the function goes by its logical id");
    assert_eq!(sweep.schedules[0].every, Duration::from_secs(60));
    let rules = &stack.function("receipts-email").expect("the function goes by its folder").rules;
    assert!(
        rules[0].matches("aws.ses", "Email Bounced")
            && !rules[0].matches("aws.ses", "Email Opened")
    );

    let minute = Duration::from_secs(60);
    let hours = |hours: u32| 60 * hours * minute;
    assert_eq!((sweep.asynchronous.max_age, sweep.asynchronous.max_retries), (minute, 0));
    let receipts = stack.function("receipts-email").expect("the function goes by its folder");
    assert_eq!((receipts.asynchronous.max_age, receipts.asynchronous.max_retries), (hours(6), 2));

    let socket = stack.websocket.as_ref().expect("there is a WebSocket API");
    assert_eq!(
        (socket.stage.as_str(), socket.selection.0.as_slice()),
        ("live", &["action".to_owned()][..])
    );
    assert_eq!(socket.routes["$connect"], "ChatSocket");
    assert!(stack.functions.iter().all(|function| function.environment.contains_key("TABLE_NAME")));
}

#[test]
fn production_refuses_what_is_for_tests_alone() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../template.yaml");
    let read = |stage: &str, name: &str, value: &str| {
        let parameters = [("Stage", stage), (name, value)];
        let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Stack::read(&path, &parameters.into(), "pingback").map_err(|error| error.to_string())
    };

    for (name, value) in [
        ("ClockOffsetMs", "1"),
        ("EndpointUrl", "http://127.0.0.1:3000"),
        ("WhatsappApiUrl", "http://graph.facebook.com/v26.0"),
        ("WhatsappApiUrl", "https://graph.example.com/v26.0"),
    ] {
        let refused = read("prod", name, value).expect_err(name);
        assert!(refused.starts_with("Rules.Production: ") && refused.contains(name), "{refused}");
        assert!(read("dev", name, value).is_ok(), "{name}");
    }
}

#[test]
fn an_api_has_an_address_under_which_it_is_served() {
    const CERTIFICATE: &str = "arn:aws:acm:eu-central-1:123456789012:certificate/0a1b";

    let domain = ("ApiDomain", "messages.example.com");
    let certificate = ("ApiCertificate", CERTIFICATE);
    let disabled = ("ApiDefaultAddress", "disable");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../template.yaml");
    let read = |parameters: &[(&str, &str)]| {
        let parameters =
            parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let stack = Stack::read(&path, &parameters.collect(), "pingback");
        stack.map(|_| ()).map_err(|error| error.to_string())
    };

    for (parameters, rule) in [
        (&[certificate][..], "Rules.CertificateOfDomain: "),
        (&[disabled], "Rules.OneAddressAtLeast: "),
        (&[domain, disabled], "Rules.OneAddressAtLeast: "),
    ] {
        let refused = read(parameters).expect_err(rule);
        assert!(refused.starts_with(rule), "{refused}");
    }

    for parameters in [&[domain][..], &[domain, certificate], &[domain, certificate, disabled]] {
        assert!(read(parameters).is_ok(), "{parameters:?}");
    }
}
