import { deleteNeedsDeletedWith, hostKeyPinned, secretsByStdin } from "./commands";
import { ec2EncryptedDisks, ec2InstanceMetadata, ec2NotPublic, ec2RulesJustified } from "./ec2";
import type { Rule } from "./rule";
import { secretOutputs, secretsMarked } from "./secrets";

/** All rules of the pack. */
export const rules: readonly Rule[] = [
  hostKeyPinned,
  secretsByStdin,
  deleteNeedsDeletedWith,
  secretsMarked,
  secretOutputs,
  ec2NotPublic,
  ec2RulesJustified,
  ec2EncryptedDisks,
  ec2InstanceMetadata,
];
