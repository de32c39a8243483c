import type * as Aws from "@pulumi/aws/provider";
import { optionalPackage } from "../../../model/optional-package";
import type * as Host from "./host";
import type * as Network from "./network";

/** The components for EC2, loaded only if a host needs them, because the AWS SDK is large. */
export const loadEc2 = () =>
  optionalPackage("@pulumi/aws", "A host of kind ec2", () => ({
    /* eslint-disable @typescript-eslint/no-require-imports -- not at the start */
    ...(require("@pulumi/aws/provider") as typeof Aws),
    ...(require("./host") as typeof Host),
    ...(require("./network") as typeof Network),
    /* eslint-enable @typescript-eslint/no-require-imports */
  }));
