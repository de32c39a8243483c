/** OIDC issuers as the API server's structured authentication (apiserver.config.k8s.io, AuthenticationConfiguration). Pure. */
import type { OidcIssuer } from "../../../model/config";

export function jwtAuthenticators(issuers: readonly OidcIssuer[]): object[] {
  return issuers.map((one) => ({
    issuer: {
      url: one.issuerUrl,
      audiences: one.audiences,
      // Required with several audiences, and the only value.
      ...(one.audiences.length > 1 && { audienceMatchPolicy: "MatchAny" }),
      ...(one.ca !== undefined && { certificateAuthority: one.ca }),
    },
    ...(Object.keys(one.requiredClaims).length > 0 && {
      claimValidationRules: Object.entries(one.requiredClaims).map(([claim, requiredValue]) => ({
        claim,
        requiredValue,
      })),
    }),
    claimMappings: {
      username: { claim: one.usernameClaim, prefix: one.usernamePrefix },
      ...(one.groupsClaim !== undefined && { groups: { claim: one.groupsClaim, prefix: one.groupsPrefix } }),
    },
  }));
}
