//! Whom an ID token names, once it is verified (OpenID Connect Core 1.0, 3.1.3.7).

use hospitium_desk::sign_in::{Claim, Identity, Provider};
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreErrorResponseType, CoreGenderClaim, CoreJsonWebKey,
    CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreRevocableToken,
    CoreRevocationErrorResponse, CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AccessTokenHash, AdditionalClaims, Client, EmptyExtraTokenFields, EndpointMaybeSet,
    EndpointNotSet, EndpointSet, IdTokenFields, Nonce, OAuth2TokenResponse as _,
    StandardErrorResponse, StandardTokenResponse, SubjectIdentifier, TokenResponse as _,
    UserInfoClaims,
};
use serde::{Deserialize, Serialize};

use super::error::Refused;

/// What we read of a token beside the standard claims.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Further {
    /// Microsoft Entra's object id.
    oid: Option<String>,
}

impl AdditionalClaims for Further {}

type Fields = IdTokenFields<
    Further,
    EmptyExtraTokenFields,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;

/// What the token endpoint gives.
pub type Tokens = StandardTokenResponse<Fields, CoreTokenType>;

/// What the user info endpoint gives.
pub type UserInfo = UserInfoClaims<Further, CoreGenderClaim>;

/// The desk as a client of a provider that was asked how it is used.
pub type KnownClient = Client<
    Further,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    Tokens,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// The algorithms of signatures that are believed, whatever a provider says that it uses: those that a key in its key set
/// verifies. Not `none`; nor HMAC, whose key the desk has too.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// What a provider says of the person who signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Its own name for the person.
    pub subject: SubjectIdentifier,
    oid: Option<String>,
    email: Option<String>,
    verified: bool,
}

/// Verifies the ID token and gives what it says.
pub fn verified(
    tokens: &Tokens,
    client: &KnownClient,
    nonce: &str,
    provider: &Provider,
) -> Result<Said, Refused> {
    let token = tokens.id_token().ok_or(Refused::Bad("there is none"))?;
    let verifier = client.id_token_verifier().set_allowed_algs(ALGORITHMS);
    let claims = token.claims(&verifier, &Nonce::new(nonce.to_owned()))?;
    // 3.1.3.7, 5: a token that was issued to somebody else.
    let issued_to = claims.authorized_party().map(|party| party.as_str());
    if issued_to.is_some_and(|party| party != provider.client_id) {
        return Err(Refused::Bad("it was issued to another client"));
    }
    // 3.1.3.8: whether the access token came with it.
    if let Some(expected) = claims.access_token_hash() {
        let unusable = |_| Refused::Bad("its at_hash cannot be compared");
        let algorithm = token.signing_alg().map_err(unusable)?;
        let key = token.signing_key(&verifier).map_err(unusable)?;
        let found = AccessTokenHash::from_token(tokens.access_token(), algorithm, key);
        match found {
            Ok(found) if found == *expected => {}
            Ok(_) => return Err(Refused::Bad("its at_hash is of another access token")),
            Err(_) => return Err(Refused::Bad("its at_hash cannot be compared")),
        }
    }
    Ok(Said {
        subject: claims.subject().clone(),
        oid: claims.additional_claims().oid.clone(),
        email: claims.email().map(|email| email.to_string()),
        verified: claims.email_verified() == Some(true),
    })
}

impl Said {
    /// Whether the mail address is wanted and does not stand in the token. A provider may keep it for those who ask for it
    /// (5.4).
    pub fn lacks(&self, claim: Claim) -> bool {
        claim == Claim::Email && self.email.is_none()
    }

    /// The same with the mail address of the user info, which is of the same subject.
    pub fn with(self, info: &UserInfo) -> Self {
        let email = info.email().map(|email| email.to_string());
        Self { email, verified: info.email_verified() == Some(true), ..self }
    }

    /// The person whom the desk's claim names.
    pub fn identity(&self, provider: &Provider) -> Result<Identity, Refused> {
        let nameless = |why| Refused::Nameless { issuer: provider.issuer.clone(), why };
        let value = match provider.claim {
            Claim::Sub => self.subject.as_str(),
            Claim::Oid => self.oid.as_deref().ok_or(nameless("it gives no oid"))?,
            Claim::Email if self.email.is_some() && !self.verified => {
                return Err(nameless("it does not say that the mail address is verified"));
            }
            Claim::Email => self.email.as_deref().ok_or(nameless("it gives no mail address"))?,
        };
        Ok(provider.identity(value)?)
    }
}
