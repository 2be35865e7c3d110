//! Webhooks, as Standard Webhooks has them (github.com/standard-webhooks, `spec/standard-webhooks.md`): the name, the
//! time and the body are signed together, so that who is told can refuse what is forged, altered or old.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use hospitium_desk::store::Notice;
use hospitium_model::printable;
use jiff::Timestamp;
use sha2::Sha256;

use super::config::Webhook;
use crate::caller::settings;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The value of `webhook-signature`: HMAC-SHA256 over `ID.SECONDS.BODY`.
pub fn signature(secret: &[u8], id: &str, at: Timestamp, body: &str) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
    mac.update(format!("{id}.{}.{body}", at.as_second()).as_bytes());
    Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

/// Tells a webhook. Any answer of 200 to 299 says that it was heard.
pub fn send(webhook: &Webhook, notice: &Notice, now: Timestamp) -> Result<(), String> {
    let failed =
        |why: String| format!("{}: {}", printable(&webhook.url, 200), printable(&why, 200));
    let secret = webhook.secret().ok_or_else(|| failed("it has no secret".to_owned()))?;
    let signature = signature(&secret, &notice.id, now, &notice.body)
        .ok_or_else(|| failed("its secret signs nothing".to_owned()))?;
    let agent: ureq::Agent = settings(PATIENCE).build().into();
    let answer = agent
        .post(&webhook.url)
        .header("content-type", "application/json")
        .header("webhook-id", &notice.id)
        .header("webhook-timestamp", now.as_second().to_string())
        .header("webhook-signature", &signature)
        .send(notice.body.as_bytes())
        .map_err(|error| failed(error.to_string()))?;
    match answer.status().as_u16() {
        200..=299 => Ok(()),
        status => Err(failed(format!("it answers with status {status}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_the_published_example() {
        // standard-webhooks, libraries/python/tests: the secret, name, time and body of its own test.
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("base64");
        let at = Timestamp::from_second(1_614_265_330).expect("in range");
        let made =
            signature(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", at, r#"{"test": 2432232314}"#);
        assert_eq!(made.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
    }
}
