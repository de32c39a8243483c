/** The networks that clusters of one tailnet have by their numbers: those of any two share no address. */

export interface NumberedNetworks {
  podCidr: string;
  serviceCidr: string;
  /** Of the endpoint, in a tailnet. */
  endpoint: string;
}

/** The config keys that set them. */
export const networkKeys = {
  podCidr: "network.podCidr",
  serviceCidr: "network.serviceCidr",
  endpoint: "endpoint.address",
} as const satisfies Record<keyof NumberedNetworks, string>;

/** A cluster without a number is 0, which has had these networks from the start. */
const first: NumberedNetworks = { podCidr: "10.50.0.0/16", serviceCidr: "10.96.0.0/12", endpoint: "10.200.0.1" };

/** As many as 10.112.0.0/12, the services' networks of all but the first, has networks of /16. */
export const largestNumber = 15;

/** @param number from 0 to `largestNumber`. */
export function numberedNetworks(number: number): NumberedNetworks {
  return number === 0
    ? first
    : {
        podCidr: `10.${50 + number}.0.0/16`,
        serviceCidr: `10.${112 + number}.0.0/16`,
        endpoint: `10.200.${number}.1`,
      };
}

/** The number of a cluster with these networks; undefined if they are of none. */
export function numberOf(networks: { [K in keyof NumberedNetworks]: string | undefined }): number | undefined {
  const numbers = Array.from({ length: largestNumber + 1 }, (_, number) => number);
  return numbers.find((number) => {
    const own = numberedNetworks(number);
    return (Object.keys(own) as (keyof NumberedNetworks)[]).every((key) => own[key] === networks[key]);
  });
}
