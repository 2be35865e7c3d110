//! Whom an ID token names, once it is verified (OpenID Connect Core 1.0, 3.1.3.7).

use hospitium_desk::sign_in::{Claim, Identity, Provider};
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreErrorResponseType, CoreGenderClaim, CoreJsonWebKey,
    CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreRevocableToken,
    CoreRevocationErrorResponse, CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AccessTokenHash, AdditionalClaims, Client, EmptyExtraTokenFields, EndpointMaybeSet,
    EndpointNotSet, EndpointSet, IdTokenClaims, IdTokenFields, Nonce, OAuth2TokenResponse as _,
    StandardErrorResponse, StandardTokenResponse, TokenResponse as _,
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

/// Verifies the ID token and gives the person whom it names.
pub fn identity(
    tokens: &Tokens,
    client: &KnownClient,
    nonce: &str,
    provider: &Provider,
) -> Result<Identity, Refused> {
    let token = tokens.id_token().ok_or(Refused::Bad("there is none"))?;
    let verifier = client.id_token_verifier().set_allowed_algs(ALGORITHMS);
    let claims = token.claims(&verifier, &Nonce::new(nonce.to_owned()))?;
    // 3.1.3.7, 5: a token that was issued to somebody else.
    let issued_to = claims.authorized_party().map(|party| party.as_str());
    if issued_to.is_some_and(|party| party != provider.client_id) {
        return Err(Refused::Bad("it was issued to another client"));
    }
    // 3.1.3.8: whether the access token came with it. The desk uses none, so this only tells that something is wrong.
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
    named(claims, provider)
}

/// The person whom verified claims name.
fn named(
    claims: &IdTokenClaims<Further, CoreGenderClaim>,
    provider: &Provider,
) -> Result<Identity, Refused> {
    let nameless = |why| Refused::Nameless { issuer: provider.issuer.clone(), why };
    let value = match provider.claim {
        Claim::Sub => claims.subject().as_str(),
        Claim::Oid => claims.additional_claims().oid.as_deref().ok_or(nameless(
            "its token has no oid; ask for the scope profile, or know people by another claim",
        ))?,
        Claim::Email => {
            let email = claims.email().ok_or(nameless("its token has no mail address"))?;
            if claims.email_verified() != Some(true) {
                return Err(nameless("it does not say that the mail address is verified"));
            }
            email.as_str()
        }
    };
    Ok(provider.identity(value)?)
}
