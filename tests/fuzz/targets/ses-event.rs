//! An event of EventBridge's that tells what became of a mail.

#![no_main]

use aws_lambda_events::event::eventbridge::EventBridgeEvent;
use chrono::DateTime;
use libfuzzer_sys::fuzz_target;
use receipts_email::event;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let Ok(read) = serde_json::from_slice::<EventBridgeEvent<Value>>(data) else { return };
    let EventBridgeEvent { detail_type, time, detail, .. } = read;
    let time = time.unwrap_or(DateTime::UNIX_EPOCH);

    let ours = "pingback-messages-EmailReceipts";
    let receipt = event::receipt(ours, &detail_type, time, &detail);
    assert!(receipt.is_none() || event::is_kind(&detail_type));
    assert!(
        event::receipt("another set", &detail_type, time, &detail).is_none_or(|_| {
            detail["mail"]["tags"]["ses:configuration-set"][0] == "another set"
        })
    );
});
