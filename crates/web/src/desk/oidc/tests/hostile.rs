//! A provider that lies, hangs, or is not there: nobody is signed in, and each lie is told by its own reason.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hospitium_desk::sign_in::{ClientSecret, Provider};
use jiff::Timestamp;
use openidconnect::{ClaimsVerificationError as Wrong, SignatureVerificationError as Signature};

use super::fake::{CLIENT, Fake, Lie, PERSON, SECRET};
use crate::desk::oidc::Oidc;
use crate::desk::oidc::attempt::Attempt;
use crate::desk::oidc::error::Refused;
use crate::desk::oidc::provider::Pace;

/// A provider's file and secret, as a person writes them.
pub fn provider(issuer: &str, further: &str) -> (Provider, Option<ClientSecret>) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("secret"), SECRET).expect("written");
    let text =
        format!("issuer = {issuer:?}\nclient-id = {CLIENT:?}\nsecret-file = \"secret\"\n{further}");
    let path = folder.path().join("oidc.toml");
    let provider = Provider::parse(&text, Path::new(&path)).expect("reads");
    let secret = provider.secret().expect("reads");
    (provider, secret)
}

/// Nothing is waited for for long, and nothing is left alone.
pub const HASTY: Pace =
    Pace { patience: Duration::from_secs(30), again: Duration::ZERO, keys: Duration::ZERO };

fn desk(fake: &Fake, further: &str, pace: Pace) -> Arc<Oidc> {
    let (provider, secret) = provider(&fake.issuer, further);
    Arc::new(Oidc::with(provider, secret, "https://desk.example/catalog", pace).expect("made"))
}

fn attempt() -> Attempt {
    Attempt::new("/desk".to_owned(), Timestamp::now()).expect("random")
}

/// The code with which a browser comes back whose person signed in at the provider.
async fn code(fake: &Fake, oidc: &Oidc, attempt: &Attempt) -> String {
    let query = fake.grants(&oidc.begin(attempt).await.expect("begins"), PERSON);
    query.split(['=', '&']).nth(1).expect("a code").to_owned()
}

/// How a sign-in ends whose provider begins to lie when it is asked for a token.
async fn ends(lie: Lie, further: &str, pace: Pace) -> Result<String, Refused> {
    let fake = Fake::start().await;
    let (oidc, attempt) = (desk(&fake, further, pace), attempt());
    let code = code(&fake, &oidc, &attempt).await;
    fake.lies(lie);
    let ended = oidc.finish(&attempt, &code, None).await;
    assert_eq!(fake.followed(), 0, "{lie:?}");
    ended.map(|identity| identity.value.to_string())
}

#[tokio::test]
async fn an_honest_provider_names_people_by_the_claim_that_the_desk_wants() {
    for (further, value) in [
        ("", "ann@guest.example"),
        ("claim = \"sub\"\nscopes = [\"email\"]\n", "sub of ann@guest.example"),
        ("claim = \"oid\"\nscopes = [\"email\"]\n", "o-1"),
    ] {
        assert_eq!(ends(Lie::None, further, HASTY).await.expect("named"), value);
    }
}

#[tokio::test]
async fn a_token_that_is_forged_or_meant_for_others_is_not_believed() {
    type Is = fn(&Refused) -> bool;
    let cases: [(Lie, Is); 13] = [
        (Lie::Issuer, |why| matches!(why, Refused::Token(Wrong::InvalidIssuer(_)))),
        (Lie::Audience, |why| matches!(why, Refused::Token(Wrong::InvalidAudience(_)))),
        (Lie::FurtherAudience, |why| matches!(why, Refused::Token(Wrong::InvalidAudience(_)))),
        (Lie::OtherParty, |why| matches!(why, Refused::Bad("it was issued to another client"))),
        (Lie::Expired, |why| matches!(why, Refused::Token(Wrong::Expired(_)))),
        (Lie::Nonce, |why| matches!(why, Refused::Token(Wrong::InvalidNonce(_)))),
        (Lie::NoNonce, |why| matches!(why, Refused::Token(Wrong::InvalidNonce(_)))),
        (Lie::AlgorithmNone, |why| {
            let disallowed = |why: &Signature| {
                matches!(why, Signature::DisallowedAlg(_) | Signature::NoSignature)
            };
            matches!(why, Refused::Token(Wrong::SignatureVerification(why)) if disallowed(why))
        }),
        (Lie::SharedSecret, |why| {
            matches!(why, Refused::Token(Wrong::SignatureVerification(Signature::DisallowedAlg(_))))
        }),
        (Lie::KeyOfAnother, |why| {
            matches!(why, Refused::Token(Wrong::SignatureVerification(Signature::CryptoError(_))))
        }),
        (Lie::Altered, |why| {
            matches!(why, Refused::Token(Wrong::SignatureVerification(Signature::CryptoError(_))))
        }),
        (Lie::AccessHash, |why| {
            matches!(why, Refused::Bad("its at_hash is of another access token"))
        }),
        (Lie::NoToken, |why| matches!(why, Refused::Bad("there is none"))),
    ];
    for (lie, is) in cases {
        let why = ends(lie, "", HASTY).await.expect_err("refused");
        assert!(is(&why), "{lie:?}: {why:?}");
    }
}

#[tokio::test]
async fn a_mail_address_counts_only_if_the_provider_says_that_it_is_verified() {
    for lie in [Lie::NotVerified, Lie::VerifiedUnsaid, Lie::NoEmail, Lie::UnverifiedInUserInfo] {
        let why = ends(lie, "", HASTY).await.expect_err("refused");
        assert!(matches!(why, Refused::Nameless { .. }), "{lie:?}: {why:?}");
        let by_sub = ends(lie, "claim = \"sub\"\nscopes = [\"email\"]\n", HASTY).await;
        assert_eq!(by_sub.expect("named"), "sub of ann@guest.example");
    }
}

#[tokio::test]
async fn a_mail_address_that_is_not_in_the_token_is_asked_for_and_has_to_be_of_the_same_person() {
    let named = ends(Lie::EmailInUserInfo, "", HASTY).await.expect("named");
    assert_eq!(named, "ann@guest.example");
    let why = ends(Lie::UserInfoOfAnother, "", HASTY).await.expect_err("refused");
    assert!(matches!(&why, Refused::Unconfirmed { why, .. } if why.contains("subject")), "{why:?}");
}

#[tokio::test]
async fn a_token_endpoint_that_hangs_redirects_or_floods_gives_nothing() {
    let quick = Pace { patience: Duration::from_millis(300), ..HASTY };
    for (lie, pace) in
        [(Lie::TokenHangs, quick), (Lie::TokenRedirects, HASTY), (Lie::TokenHuge, HASTY)]
    {
        let why = ends(lie, "", pace).await.expect_err("refused");
        assert!(matches!(why, Refused::Unconfirmed { .. }), "{lie:?}: {why:?}");
    }
}

#[tokio::test]
async fn a_provider_that_is_not_there_or_says_nonsense_of_itself_is_not_used() {
    for (lie, words) in [
        (Lie::Down, "502"),
        (Lie::Garbage, "invalid type: sequence"),
        (Lie::MetadataOfAnother, "unexpected issuer"),
        (Lie::MetadataClear, "it sends people to \"http://other.example/token\""),
        (Lie::HugeKeys, "more than 262144 bytes"),
    ] {
        let fake = Fake::start().await;
        fake.lies(lie);
        let oidc = desk(&fake, "", HASTY);
        let why = oidc.begin(&attempt()).await.expect_err("refused");
        let Refused::Silent { why, .. } = why else { panic!("{lie:?}: {why:?}") };
        assert!(why.contains(words), "{lie:?}: {why}");
        fake.lies(Lie::None);
        oidc.begin(&attempt()).await.expect("it is asked again, and answers");
    }
}

#[tokio::test]
async fn a_provider_that_does_not_answer_is_left_alone_and_one_that_does_is_asked_once() {
    let fake = Fake::start().await;
    fake.lies(Lie::Down);
    let oidc = desk(&fake, "", Pace::default());
    for _ in 0..5 {
        assert!(oidc.begin(&attempt()).await.is_err());
    }
    assert_eq!(fake.calls().0, 1);
    fake.lies(Lie::None);
    let oidc = desk(&fake, "", Pace::default());
    for _ in 0..5 {
        assert!(oidc.begin(&attempt()).await.is_ok());
    }
    assert_eq!(fake.calls().0, 2);
}

#[tokio::test]
async fn a_new_key_is_fetched_and_an_unknown_one_does_not_make_the_desk_ask_without_end() {
    let fake = Fake::start().await;
    for (keys, signs_in) in [(Duration::ZERO, true), (Duration::from_secs(3_600), false)] {
        let oidc = desk(&fake, "", Pace { keys, ..HASTY });
        let (before, attempt) = (attempt(), attempt());
        let first = code(&fake, &oidc, &before).await;
        oidc.finish(&before, &first, None).await.expect("with the old key");
        fake.renews_its_key();
        let asked = fake.calls().0;
        let second = code(&fake, &oidc, &attempt).await;
        let ended = oidc.finish(&attempt, &second, None).await;
        assert_eq!(ended.is_ok(), signs_in, "{ended:?}");
        assert_eq!(fake.calls().0 - asked, usize::from(signs_in));
    }
}

#[tokio::test]
async fn a_code_counts_for_the_attempt_that_it_was_given_for_and_once() {
    let fake = Fake::start().await;
    let oidc = desk(&fake, "", HASTY);
    let (ours, other) = (attempt(), attempt());
    let stolen = code(&fake, &oidc, &ours).await;
    let why = oidc.finish(&other, &stolen, None).await.expect_err("PKCE");
    assert!(matches!(why, Refused::Unconfirmed { .. }), "{why:?}");
    let good = code(&fake, &oidc, &ours).await;
    oidc.finish(&ours, &good, Some(&fake.issuer)).await.expect("named");
    let why = oidc.finish(&ours, &good, None).await.expect_err("replayed");
    assert!(matches!(why, Refused::Unconfirmed { .. }), "{why:?}");
    let asked = fake.calls().1;
    let mixed = code(&fake, &oidc, &ours).await;
    let why =
        oidc.finish(&ours, &mixed, Some("https://other.example")).await.expect_err("mixed up");
    assert!(matches!(why, Refused::MixedUp(_)), "{why:?}");
    assert_eq!(fake.calls().1, asked, "the code went to nobody");
}
