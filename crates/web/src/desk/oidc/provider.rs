//! A provider, as the desk uses it: asked how it is used when somebody wants to sign in, and that is kept for an hour.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hospitium_desk::sign_in::{ClientSecret, Identity, Provider, is_endpoint};
use hospitium_model::printable;
use openidconnect::core::{
    CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClientAuthMethod, CoreGrantType,
    CoreJsonWebKey, CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm,
    CoreResponseMode, CoreResponseType, CoreSubjectIdentifierType,
};
use openidconnect::url::Url;
use openidconnect::{
    AdditionalProviderMetadata, AuthType, AuthenticationFlow, AuthorizationCode,
    ClaimsVerificationError, ClientId, CsrfToken, IssuerUrl, Nonce, OAuth2TokenResponse as _,
    PkceCodeChallenge, PkceCodeVerifier, ProviderMetadata, RedirectUrl, Scope,
    SignatureVerificationError,
};
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, Semaphore};

use super::attempt::{Attempt, Attempts};
use super::error::{Refused, SetUpError};
use super::http::Client;
use super::token::{self, KnownClient, UserInfo};

/// How long what a provider says of itself is believed.
const FRESH: Duration = Duration::from_secs(3_600);
/// Sign-ins at once for which the provider is called.
const CALLS: usize = 8;
/// How long a sign-in waits for its turn.
const TURN: Duration = Duration::from_secs(5);
/// The page to which browsers come back.
const BACK: &str = "/desk/sign-in/return";

/// How long is waited, and how soon something is done again.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How long one call to the provider may take.
    pub patience: Duration,
    /// How long a provider that did not answer is left alone.
    pub again: Duration,
    /// How long keys are kept before an unknown one makes the desk ask for new ones.
    pub keys: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        let keys = Duration::from_secs(60);
        Self { patience: Duration::from_secs(10), again: Duration::from_secs(30), keys }
    }
}

/// What a provider says of itself, beside what the library reads.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Further {
    /// OpenID Connect RP-Initiated Logout 1.0, 2.1.
    end_session_endpoint: Option<String>,
    /// RFC 9207, 3.
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

impl AdditionalProviderMetadata for Further {}

type Metadata = ProviderMetadata<
    Further,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// A provider that was asked.
#[derive(Debug)]
struct Known {
    client: KnownClient,
    further: Further,
    asked: Instant,
}

/// What is known of the provider now.
#[derive(Debug, Default)]
struct Asked {
    known: Option<Arc<Known>>,
    failed: Option<(Instant, String)>,
}

/// Sign-in by OpenID Connect, at one provider.
#[derive(Debug)]
pub struct Oidc {
    /// Whom the desk believes.
    pub(super) provider: Provider,
    /// Which sign-ins are on their way.
    pub(super) attempts: Attempts,
    secret: Option<ClientSecret>,
    issuer: IssuerUrl,
    back: RedirectUrl,
    home: Url,
    http: Client,
    pace: Pace,
    asked: Mutex<Asked>,
    calls: Semaphore,
}

impl Oidc {
    /// At this provider, with the client's secret; nothing is asked yet. `base` is the desk's address as browsers see it.
    ///
    /// # Errors
    /// If one of the two addresses is none.
    pub fn new(
        provider: Provider,
        secret: Option<ClientSecret>,
        base: &str,
    ) -> Result<Self, SetUpError> {
        Self::with(provider, secret, base, Pace::default())
    }

    pub(super) fn with(
        provider: Provider,
        secret: Option<ClientSecret>,
        base: &str,
        pace: Pace,
    ) -> Result<Self, SetUpError> {
        let none = || SetUpError::Base(printable(base, 200));
        let base = Url::parse(base).map_err(|_| none())?;
        if !base.has_host() || !matches!(base.scheme(), "https" | "http") {
            return Err(none());
        }
        // The desk's pages are at the root of their host, wherever the catalog's are.
        let back = base.join(BACK).map_err(|_| none())?;
        let home = base.join("/desk/sign-in").map_err(|_| none())?;
        let issuer = IssuerUrl::new(provider.issuer.clone());
        let issuer = issuer.map_err(|error| SetUpError::Issuer {
            issuer: provider.issuer.clone(),
            why: error.to_string(),
        })?;
        Ok(Self {
            attempts: Attempts::new()?,
            secret,
            issuer,
            back: RedirectUrl::from_url(back),
            home,
            http: Client::new(pace.patience),
            pace,
            asked: Mutex::default(),
            calls: Semaphore::new(CALLS),
            provider,
        })
    }

    /// The provider's issuer URL.
    pub(in crate::desk) fn issuer(&self) -> &str {
        &self.provider.issuer
    }

    fn silent(&self, why: String) -> Refused {
        Refused::Silent { issuer: self.provider.issuer.clone(), why }
    }

    /// The provider, asked now if it was not within the hour. One that did not answer is left alone for a while.
    async fn known(&self) -> Result<Arc<Known>, Refused> {
        let mut asked = self.asked.lock().await;
        if let Some(known) = asked.known.as_ref().filter(|known| known.asked.elapsed() < FRESH) {
            return Ok(Arc::clone(known));
        }
        match &asked.failed {
            Some((at, why)) if at.elapsed() < self.pace.again => Err(self.silent(why.clone())),
            _ => self.ask(&mut asked).await,
        }
    }

    /// The provider, asked anew, for a key is not among those that are known. They may just have been renewed.
    async fn renewed(&self, seen: &Arc<Known>) -> Option<Arc<Known>> {
        let mut asked = self.asked.lock().await;
        match &asked.known {
            Some(known) if !Arc::ptr_eq(known, seen) => Some(Arc::clone(known)),
            Some(known) if known.asked.elapsed() < self.pace.keys => None,
            _ => self.ask(&mut asked).await.ok(),
        }
    }

    async fn ask(&self, asked: &mut Asked) -> Result<Arc<Known>, Refused> {
        match self.discover().await {
            Ok(known) => {
                let known = Arc::new(known);
                *asked = Asked { known: Some(Arc::clone(&known)), failed: None };
                Ok(known)
            }
            Err(why) => {
                let why = printable(&why, 300);
                tracing::warn!(
                    "{} does not answer as an OpenID provider: {why}",
                    self.provider.issuer
                );
                asked.failed = Some((Instant::now(), why.clone()));
                Err(self.silent(why))
            }
        }
    }

    async fn discover(&self) -> Result<Known, String> {
        let metadata = Metadata::discover_async(self.issuer.clone(), &self.http).await;
        let metadata = metadata.map_err(|error| hospitium_model::chain(&error))?;
        let authorization = metadata.authorization_endpoint().as_str();
        let token = metadata.token_endpoint().map(|url| url.as_str());
        for url in [Some(authorization), token] {
            // What is missing or unsafe is told before anybody is sent there.
            match url {
                Some(url) if is_endpoint(url) => {}
                Some(url) => return Err(format!("it sends people to {url:?}")),
                None => return Err("it names no token endpoint".to_owned()),
            }
        }
        // OpenID Connect Discovery 1.0, 3: where a provider says nothing, client_secret_basic.
        let ways = metadata.token_endpoint_auth_methods_supported();
        let knows = |way| ways.is_none_or(|ways| ways.contains(&way));
        let in_body = !knows(CoreClientAuthMethod::ClientSecretBasic);
        let further = metadata.additional_metadata().clone();
        let secret = self.secret.as_ref();
        let secret =
            secret.map(|secret| openidconnect::ClientSecret::new(secret.as_str().to_owned()));
        let id = ClientId::new(self.provider.client_id.clone());
        let mut client = KnownClient::from_provider_metadata(metadata, id, secret)
            .set_redirect_uri(self.back.clone());
        if in_body {
            client = client.set_auth_type(AuthType::RequestBody);
        }
        Ok(Known { client, further, asked: Instant::now() })
    }

    /// What is wrong with the provider, for the page to sign in. It is not waited for for long: whoever has a password
    /// does not need it.
    pub(in crate::desk) async fn trouble(self: &Arc<Self>, wait: Duration) -> Option<String> {
        let own = Arc::clone(self);
        let asking = tokio::spawn(async move { own.known().await.map(drop) });
        match tokio::time::timeout(wait, asking).await {
            Ok(Ok(Ok(()))) => None,
            Ok(Ok(Err(refused))) => Some(refused.to_string()),
            Ok(Err(_)) | Err(_) => Some(self.silent("it takes long".to_owned()).to_string()),
        }
    }

    /// Where a browser goes to sign in.
    pub(super) async fn begin(&self, attempt: &Attempt) -> Result<String, Refused> {
        let known = self.known().await?;
        let (state, nonce) = (attempt.state(), attempt.nonce());
        let verifier = PkceCodeVerifier::new(attempt.verifier());
        let flow = AuthenticationFlow::<CoreResponseType>::AuthorizationCode;
        let request = known
            .client
            .authorize_url(flow, || CsrfToken::new(state), || Nonce::new(nonce))
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
            .add_scopes(self.provider.scopes.iter().cloned().map(Scope::new));
        Ok(request.url().0.to_string())
    }

    /// Whom the provider names, for the code with which a browser came back. `iss` is what the answer says of its sender.
    pub(super) async fn finish(
        &self,
        attempt: &Attempt,
        code: &str,
        iss: Option<&str>,
    ) -> Result<Identity, Refused> {
        let known = self.known().await?;
        let says = known.further.authorization_response_iss_parameter_supported;
        if iss.is_some_and(|iss| iss != self.provider.issuer) || (says && iss.is_none()) {
            return Err(Refused::MixedUp(printable(iss.unwrap_or_default(), 200)));
        }
        let turn = tokio::time::timeout(TURN, self.calls.acquire()).await;
        let _turn = turn.map_err(|_| Refused::Busy)?.map_err(|_| Refused::Busy)?;
        let failed = |why: String| Refused::Unconfirmed {
            issuer: self.provider.issuer.clone(),
            why: printable(&why, 300),
        };
        let request = known.client.exchange_code(AuthorizationCode::new(code.to_owned()));
        let request = request.map_err(|error| failed(hospitium_model::chain(&error)))?;
        let verifier = PkceCodeVerifier::new(attempt.verifier());
        let tokens = request.set_pkce_verifier(verifier).request_async(&self.http).await;
        let tokens = tokens.map_err(|error| failed(hospitium_model::chain(&error)))?;
        let read = |known: &Known| {
            token::verified(&tokens, &known.client, &attempt.nonce(), &self.provider)
        };
        let mut said = match read(&known) {
            Err(Refused::Token(ClaimsVerificationError::SignatureVerification(
                SignatureVerificationError::NoMatchingKey,
            ))) => match self.renewed(&known).await {
                Some(renewed) => read(&renewed),
                None => read(&known),
            },
            read => read,
        }?;
        if said.lacks(self.provider.claim) {
            let (access, subject) = (tokens.access_token().clone(), said.subject.clone());
            // Without such an endpoint nothing more is known than the token says.
            if let Ok(request) = known.client.user_info(access, Some(subject)) {
                let info: Result<UserInfo, _> = request.request_async(&self.http).await;
                let info = info.map_err(|error| failed(hospitium_model::chain(&error)))?;
                said = said.with(&info);
            }
        }
        said.identity(&self.provider)
    }

    /// Where a browser goes to sign out at the provider too, if that is wanted and the provider has a page for it.
    pub(in crate::desk) async fn sign_out(&self) -> Option<String> {
        if !self.provider.end_session {
            return None;
        }
        let known = self.known().await.ok()?;
        let page = known.further.end_session_endpoint.as_ref().filter(|url| is_endpoint(url))?;
        let mut page = Url::parse(page).ok()?;
        page.query_pairs_mut()
            .append_pair("client_id", &self.provider.client_id)
            .append_pair("post_logout_redirect_uri", self.home.as_str());
        Some(page.into())
    }
}
