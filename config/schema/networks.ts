/** The groups `lan`, `endpoint`, `network` and `loadBalancer` of a stack's config. */
import { largestNumber, numberedNetworks } from "../../model/cluster-number";
import { choice, group, ipv4Text, key, network, port, wholeNumber, yesOrNo } from "./fields";
import { interfacePattern, isHostAddress } from "./node";

const { podCidr: defaultPodCidr, serviceCidr: defaultServiceCidr } = numberedNetworks(0);

/** An example of loadBalancer.cidr that overlaps no default network. */
const exampleLoadBalancerCidr = "10.201.0.0/24";

export const lanSchema = key(
  group(
    {
      cidr: key(network(1, 30, "192.168.1.0/24").optional(), "The IPv4 network of the node addresses."),
      interface: key(
        interfacePattern().optional(),
        "The interface with the node address. A name, or a prefix followed by a plus sign.",
      ),
      checksumOffload: key(
        yesOrNo().default(true),
        "Whether the nodes' interfaces may leave checksums to their NICs. false turns the offload off.",
      ),
    },
    "{ cidr: 192.168.1.0/24 }",
  ),
  "How the program finds the nodes' addresses, with nodeNetwork lan.",
  { title: "LanArgs", examples: [{ cidr: "192.168.1.0/24" }, { interface: "enp+", checksumOffload: false }] },
);

export const endpointSchema = key(
  group(
    {
      // Only a LAN allows a name; see config/rules/lan.ts.
      address: key(
        ipv4Text(isHostAddress, "an IPv4 address such as 10.200.0.1, in a lan also a DNS name").optional(),
        "Address of the API. In a tailnet, an unused IPv4 address that the program puts on the loopback of every control plane and " +
          "advertises to the tailnet. Default: 10.200.0.1, or what network.number makes it. In a LAN, the IPv4 address or DNS name of a " +
          "control plane or of a load balancer, or with kind vip an unused IPv4 address of the nodes' own network; required.",
      ),
      kind: key(
        choice(["external", "vip"]).optional(),
        "With nodeNetwork lan, the kind of the address. external (you provide it), or vip (a virtual IP: the program keeps it on one control " +
          "plane with a ready API server, which announces it with ARP). Default: external.",
      ),
      port: key(port().default(6443), "Port of the API at the endpoint."),
      apiServerPort: key(
        port().default(6443),
        "With nodeNetwork lan, the port of the API servers behind a load balancer at the endpoint's port. In a tailnet, both ports are " +
          "the same.",
      ),
    },
    "{ address: 10.200.0.1 }",
  ),
  "Where nodes and clients reach the API.",
  {
    title: "EndpointArgs",
    examples: [
      { address: "10.200.0.1" },
      { address: "k8s.example.com", port: 443 },
      { address: "192.168.1.10", kind: "vip" },
    ],
  },
);

export const networkSchema = key(
  group(
    {
      number: key(
        wholeNumber(0, largestNumber).default(0),
        "Number of this cluster among those in one tailnet; each needs its own. From 1 on, it sets the networks: with N, podCidr is " +
          "10.(50+N).0.0/16, serviceCidr 10.(112+N).0.0/16 and, in a tailnet, endpoint.address 10.200.N.1. 0: the defaults.",
      ),
      // Prefix lengths that kubeadm accepts (cmd/kubeadm/app/apis/kubeadm/validation). From /8 to /24 for kube-controller-manager's
      // /24 per node: PodSubnetNodeMaskMaxDiff = 16.
      podCidr: key(
        network(8, 24, defaultPodCidr).optional(),
        `IPv4 network of all pods. Each node gets a /24 of it. Default: ${defaultPodCidr}, or what number makes it.`,
      ),
      // MaximumBitsForServiceSubnet = 20, MinimumAddressesInServiceSubnet = 10.
      serviceCidr: key(
        network(12, 28, defaultServiceCidr).optional(),
        `IPv4 network of the services. Default: ${defaultServiceCidr}, or what number makes it.`,
      ),
      podRouting: key(
        choice(["native", "vxlan"]).optional(),
        "How pods reach pods on other nodes. native (pod networks are routes, in a tailnet the tailnet's) or vxlan (a tunnel, much slower " +
          "over a tailnet). Default: native in a tailnet, vxlan in a LAN.",
      ),
      tunnelPort: key(port().default(8472), "UDP port of the tunnel with podRouting vxlan."),
    },
    `{ podCidr: ${defaultPodCidr} }`,
  ),
  "Networks of pods and services.",
  { title: "NetworkArgs", examples: [{ number: 1 }, { podCidr: "10.61.0.0/16", serviceCidr: "10.97.0.0/16" }] },
);

export const loadBalancerSchema = key(
  group(
    {
      // LB-IPAM leaves out the first and the last address (host/lib/network/load-balancer-pool.sh), so a /31 would have none.
      cidr: key(
        network(16, 30, exampleLoadBalancerCidr).optional(),
        "IPv4 network of their addresses; the first and the last address stay unused. In a tailnet, a private network that nothing else " +
          "uses. In a LAN, an unused part of the nodes' own network. Without it, such services get no address.",
      ),
    },
    `{ cidr: ${exampleLoadBalancerCidr} }`,
  ),
  "Services of type LoadBalancer.",
  { title: "LoadBalancerArgs", examples: [{ cidr: exampleLoadBalancerCidr }] },
);
