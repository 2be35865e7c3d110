//! A provider in this process. It checks what an honest provider checks, and lies where a test wants. Its tokens are made
//! and signed here, by another library than the one that verifies them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Json;
use axum::Router;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use openidconnect::url::Url;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub const CLIENT: &str = "the-desk+1";
pub const SECRET: &str = "a secret: with+signs";
pub const BACK: &str = "https://desk.example/desk/sign-in/return";
/// Who is asked after with an access token.
pub const PERSON: &str = "ann@guest.example";
const ACCESS: &str = "an-access-token";

/// What a provider does otherwise than an honest one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lie {
    #[default]
    None,
    Issuer,
    Audience,
    FurtherAudience,
    OtherParty,
    Expired,
    Nonce,
    NoNonce,
    AlgorithmNone,
    SharedSecret,
    KeyOfAnother,
    Altered,
    AccessHash,
    NotVerified,
    VerifiedUnsaid,
    NoEmail,
    EmailInUserInfo,
    UnverifiedInUserInfo,
    UserInfoOfAnother,
    NoToken,
    HugeKeys,
    TokenHangs,
    TokenRedirects,
    TokenHuge,
    MetadataOfAnother,
    MetadataClear,
    Down,
    Garbage,
}

/// Somebody who signed in there: what the desk asked with, and as whom.
struct Granted {
    nonce: String,
    challenge: String,
    email: String,
}

#[derive(Default)]
struct Inner {
    lie: Lie,
    codes: HashMap<String, Granted>,
    key: u8,
    /// Calls of the metadata and the token endpoint.
    calls: (usize, usize),
    elsewhere: usize,
}

/// The provider.
#[derive(Clone)]
pub struct Fake {
    pub issuer: String,
    inner: Arc<Mutex<Inner>>,
}

fn key(n: u8) -> SigningKey {
    SigningKey::from_slice(&[n + 1; 32]).expect("a key")
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

impl Fake {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("listens");
        let issuer = format!("http://{}", listener.local_addr().expect("has one"));
        let fake = Self { issuer, inner: Arc::default() };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/jwks", get(keys))
            .route("/token", post(token))
            .route("/userinfo", get(user_info))
            .route("/elsewhere", get(elsewhere).post(elsewhere))
            .with_state(fake.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        fake
    }

    fn with<T>(&self, does: impl FnOnce(&mut Inner) -> T) -> T {
        does(&mut self.inner.lock().expect("whole"))
    }

    pub fn lies(&self, lie: Lie) {
        self.with(|inner| inner.lie = lie);
    }

    fn lie(&self) -> Lie {
        self.with(|inner| inner.lie)
    }

    /// Signs with another key from now on.
    pub fn renews_its_key(&self) {
        self.with(|inner| inner.key += 1);
    }

    /// How often metadata and tokens were asked for.
    pub fn calls(&self) -> (usize, usize) {
        self.with(|inner| inner.calls)
    }

    /// How often somebody followed a redirection.
    pub fn followed(&self) -> usize {
        self.with(|inner| inner.elsewhere)
    }

    /// What happens when a browser goes there and somebody signs in: the query with which it comes back.
    pub fn grants(&self, address: &str, email: &str) -> String {
        let url = Url::parse(address).expect("a URL");
        assert!(address.starts_with(&format!("{}/authorize?", self.issuer)), "{address}");
        let asked: HashMap<String, String> = url.query_pairs().into_owned().collect();
        for (name, value) in [
            ("response_type", "code"),
            ("client_id", CLIENT),
            ("redirect_uri", BACK),
            ("scope", "openid email"),
            ("code_challenge_method", "S256"),
        ] {
            assert_eq!(asked[name], value, "{name}");
        }
        let code = self.with(|inner| {
            let code = format!("code-{}", inner.codes.len());
            let (nonce, challenge) = (asked["nonce"].clone(), asked["code_challenge"].clone());
            let granted = Granted { nonce, challenge, email: email.to_owned() };
            inner.codes.insert(code.clone(), granted);
            code
        });
        format!("code={code}&state={}", asked["state"])
    }

    fn id_token(&self, granted: &Granted) -> String {
        let (lie, n) = self.with(|inner| (inner.lie, inner.key));
        let now = Timestamp::now().as_second();
        let hash = URL_SAFE_NO_PAD.encode(&Sha256::digest(ACCESS)[..16]);
        let mut claims = json!({
            "iss": self.issuer, "aud": CLIENT, "sub": format!("sub of {}", granted.email),
            "exp": now + 300, "iat": now, "nonce": granted.nonce, "at_hash": hash,
            "email": granted.email, "email_verified": true, "oid": "o-1",
        });
        let mut header = json!({ "alg": "ES256", "typ": "JWT", "kid": format!("k{n}") });
        let mut signer = key(n);
        match lie {
            Lie::Issuer => claims["iss"] = json!("https://other.example"),
            Lie::Audience => claims["aud"] = json!("another desk"),
            Lie::FurtherAudience => claims["aud"] = json!([CLIENT, "another desk"]),
            Lie::OtherParty => claims["azp"] = json!("another desk"),
            Lie::Expired => claims["exp"] = json!(now - 1),
            Lie::Nonce => claims["nonce"] = json!("0".repeat(64)),
            Lie::NoNonce => drop(claims.as_object_mut().and_then(|all| all.remove("nonce"))),
            Lie::AccessHash => claims["at_hash"] = json!(URL_SAFE_NO_PAD.encode([7; 16])),
            Lie::NotVerified => claims["email_verified"] = json!(false),
            Lie::VerifiedUnsaid => {
                drop(claims.as_object_mut().and_then(|all| all.remove("email_verified")));
            }
            Lie::NoEmail
            | Lie::EmailInUserInfo
            | Lie::UnverifiedInUserInfo
            | Lie::UserInfoOfAnother => {
                drop(claims.as_object_mut().and_then(|all| all.remove("email")));
            }
            Lie::AlgorithmNone => header = json!({ "alg": "none" }),
            Lie::SharedSecret => header = json!({ "alg": "HS256", "typ": "JWT" }),
            // It says whose key it would be, and another one signs.
            Lie::KeyOfAnother => signer = key(100),
            _ => {}
        }
        let signed = format!("{}.{}", part(&header), part(&claims));
        let signature = match lie {
            Lie::AlgorithmNone => String::new(),
            Lie::SharedSecret => {
                use hmac::{KeyInit as _, Mac as _};
                let mac = hmac::Hmac::<Sha256>::new_from_slice(SECRET.as_bytes());
                let mut mac = mac.expect("any length");
                mac.update(signed.as_bytes());
                URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
            }
            _ => {
                let signature: Signature = signer.sign(signed.as_bytes());
                URL_SAFE_NO_PAD.encode(signature.to_bytes())
            }
        };
        if lie == Lie::Altered {
            claims["email"] = json!("max@guest.example");
            return format!("{}.{}.{signature}", part(&header), part(&claims));
        }
        format!("{signed}.{signature}")
    }
}

async fn metadata(State(fake): State<Fake>) -> Response {
    fake.with(|inner| inner.calls.0 += 1);
    let lie = fake.lie();
    let issuer = &fake.issuer;
    let mut metadata = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/userinfo"),
        "jwks_uri": format!("{issuer}/jwks"),
        "end_session_endpoint": format!("{issuer}/end"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        // What a provider says that it uses is not what is believed.
        "id_token_signing_alg_values_supported": ["ES256", "none", "HS256"],
    });
    match lie {
        Lie::Down => return StatusCode::BAD_GATEWAY.into_response(),
        Lie::Garbage => {
            let json = [("content-type", "application/json")];
            return (json, format!("{{\"issuer\":{}", "[".repeat(100_000))).into_response();
        }
        Lie::MetadataOfAnother => metadata["issuer"] = json!("https://other.example"),
        Lie::MetadataClear => metadata["token_endpoint"] = json!("http://other.example/token"),
        _ => {}
    }
    Json(metadata).into_response()
}

async fn keys(State(fake): State<Fake>) -> Response {
    let (lie, n) = fake.with(|inner| (inner.lie, inner.key));
    let point = key(n).verifying_key().to_encoded_point(false);
    let coordinate = |bytes: Option<&_>| {
        URL_SAFE_NO_PAD.encode::<&[u8]>(bytes.map_or(&[], |b: &p256::FieldBytes| b))
    };
    let one = json!({
        "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": format!("k{n}"),
        "x": coordinate(point.x()), "y": coordinate(point.y()),
    });
    match lie {
        Lie::HugeKeys => Json(json!({ "keys": vec![one; 3_000] })).into_response(),
        _ => Json(json!({ "keys": [one] })).into_response(),
    }
}

/// OpenID Connect Core 1.0, 5.3.
async fn user_info(State(fake): State<Fake>, headers: HeaderMap) -> Response {
    let bearer = headers.get("authorization").and_then(|value| value.to_str().ok());
    if bearer != Some(&format!("Bearer {ACCESS}")) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let info = |sub: &str, verified: bool| json!({ "sub": format!("sub of {sub}"), "email": PERSON, "email_verified": verified });
    Json(match fake.lie() {
        Lie::EmailInUserInfo => info(PERSON, true),
        Lie::UnverifiedInUserInfo => info(PERSON, false),
        Lie::UserInfoOfAnother => info("max@guest.example", true),
        _ => json!({ "sub": format!("sub of {PERSON}") }),
    })
    .into_response()
}

async fn elsewhere(State(fake): State<Fake>) -> Response {
    fake.with(|inner| inner.elsewhere += 1);
    StatusCode::OK.into_response()
}

/// RFC 6749, 4.1.3, and RFC 7636, 4.6.
async fn token(
    State(fake): State<Fake>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    fake.with(|inner| inner.calls.1 += 1);
    let refused =
        |error: &str| (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response();
    match fake.lie() {
        Lie::TokenHangs => std::future::pending().await,
        Lie::TokenRedirects => return Redirect::to("/elsewhere").into_response(),
        _ => {}
    }
    let basic = headers.get("authorization").and_then(|value| value.to_str().ok());
    let basic = basic.and_then(|value| STANDARD.decode(value.strip_prefix("Basic ")?).ok());
    // Each of the two is encoded as in a form, then both by base64.
    if basic.as_deref() != Some(b"the-desk%2B1:a+secret%3A+with%2Bsigns".as_slice()) {
        return refused("invalid_client");
    }
    let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    let Some(granted) = fake.with(|inner| inner.codes.remove(field("code"))) else {
        return refused("invalid_grant");
    };
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(field("code_verifier")));
    let good = field("grant_type") == "authorization_code"
        && field("redirect_uri") == BACK
        && challenge == granted.challenge;
    if !good {
        return refused("invalid_grant");
    }
    let mut tokens = json!({ "access_token": ACCESS, "token_type": "Bearer", "expires_in": 60 });
    if fake.lie() != Lie::NoToken {
        tokens["id_token"] = json!(fake.id_token(&granted));
    }
    let room = if fake.lie() == Lie::TokenHuge { 1 << 20 } else { 0 };
    let json = [("content-type", "application/json")];
    (json, format!("{tokens}{}", " ".repeat(room))).into_response()
}
