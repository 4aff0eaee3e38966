//! Secrets are there, empty, and hold what their owner puts there.

use crate::{client, engine};

#[tokio::test]
async fn a_secret_is_filled_by_its_owner() {
    let engine = engine().await;
    let secrets = client!(aws_sdk_secretsmanager, engine.secrets_url());
    let id = engine.secret_id("Secret").unwrap();
    assert!(secrets.get_secret_value().secret_id(id).send().await.is_err());
    secrets.put_secret_value().secret_id(id).secret_string("first").send().await.unwrap();
    secrets.put_secret_value().secret_id(id).secret_string("second").send().await.unwrap();
    for id in [id, "Secret"] {
        let value = secrets.get_secret_value().secret_id(id).send().await.unwrap();
        assert_eq!(value.secret_string(), Some("second"));
    }
    engine.stop().await;
}
