"""Who else may say who somebody is: the issuers of tokens that the settings name, and where each puts its roles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from insula.core.loopback import is_web_address
from insula.serve.people.roles import Role
from insula.serve.settings import is_loopback

Algorithm = Literal["RS256", "ES256", "EdDSA"]
Layout = Literal["realm", "client", "claim"]
MOST_LEEWAY: Final = 120  # seconds


def secure_address(text: str) -> str:
    """An address that may be asked for keys and tokens: https, or http on this machine, without a user or fragment.

    Raises ValueError for any other.
    """
    if not is_web_address(text):
        raise ValueError("an address is written as https://HOST/PATH, with a name or an address for its host")
    parts = urlsplit(text)
    host = parts.hostname or ""
    if parts.username is not None or parts.fragment or not host:
        raise ValueError("an address has a host, no user and no fragment")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise ValueError("an address begins with https:// (http:// on this machine alone)")
    return text


Address = Annotated[str, Field(max_length=400), AfterValidator(secure_address)]


class LogIn(BaseModel):
    """How people log in at an issuer by the authorization code flow of OpenID Connect.

    back: the address of this service to which the issuer sends the browser, exactly as it is registered there.
    secret: of a confidential client; PKCE is used with and without one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    client_id: Annotated[str, Field(min_length=1, max_length=255)]
    back: Address
    secret: SecretStr = SecretStr("")
    scope: str = "openid profile email"


class Issuer(BaseModel):
    """One issuer of tokens (RFC 7519) and how its tokens are read.

    name: what it is called here and in addresses. issuer: the `iss` of its tokens, to the letter. audience: what `aud`
    must hold. keys: where its JSON Web Key Set lies (RFC 7517); no address out of a token or a discovery document is
    ever asked for keys. layout: `realm` (Keycloak's realm_access.roles), `client` (Keycloak's
    resource_access.CLIENT.roles), `claim` (one claim, a word or a list of words, as Firebase's custom claims are).
    roles: the issuer's role → ours; the first entry that a token holds counts, and what is not named gives nothing.
    create_users: whether a person who is seen for the first time gets an account. single_use: whether each token counts
    once, by its `jti`. needs_nbf: whether a token without `nbf` is refused. leeway: seconds by which clocks may differ.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
    issuer: Address
    audience: Annotated[str, Field(min_length=1, max_length=400)]
    keys: Address
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1)] = ("RS256",)
    layout: Layout = "claim"
    client: str = ""
    claim: str = "roles"
    roles: Annotated[dict[str, Role], Field(min_length=1)]
    create_users: bool = False
    single_use: bool = False
    needs_nbf: bool = False
    leeway: Annotated[int, Field(ge=0, le=MOST_LEEWAY)] = 30
    log_in: LogIn | None = None

    @model_validator(mode="after")
    def _client_is_named(self) -> Issuer:
        if (self.layout == "client") != bool(self.client):
            raise ValueError("'client' names Keycloak's client, and stands with the layout 'client' alone")
        return self


def role_of(issuer: Issuer, claims: Mapping[str, Any]) -> Role | None:
    """Our role for a token's claims, None where it holds no role that the issuer's mapping names."""
    held = _words(issuer, claims)
    return next((ours for theirs, ours in issuer.roles.items() if theirs in held), None)


def _words(issuer: Issuer, claims: Mapping[str, Any]) -> frozenset[str]:
    found: Any
    if issuer.layout == "realm":
        found = _inside(claims, "realm_access", "roles")
    elif issuer.layout == "client":
        found = _inside(claims, "resource_access", issuer.client, "roles")
    else:
        found = claims.get(issuer.claim)
    if isinstance(found, str):
        found = [found]
    return frozenset(word for word in found if isinstance(word, str)) if isinstance(found, list) else frozenset()


def _inside(claims: Any, *names: str) -> Any:
    for name in names:
        if not isinstance(claims, Mapping):
            return None
        claims = claims.get(name)
    return claims
