/** Secrets in properties: sealed (encrypted) in the state file, open in memory. */
import { isObject, isSecret, mapObject, Props, secret, Secret, SIGNATURE, Value } from "../values";
import { inOrder, ResourceState } from "./deployment";
import type { Crypter } from "./passphrase";

/** Keeps an unchanged secret's ciphertext the same from one write of the state to the next. */
export type CiphertextCache = WeakMap<Secret, string>;

export function newCiphertextCache(): CiphertextCache {
  return new WeakMap();
}

/** The resource with all secrets encrypted. */
export function sealResource(resource: ResourceState, crypter: Crypter, cache: CiphertextCache): ResourceState {
  return mapProperties(resource, (value) => seal(value, crypter, cache));
}

/** The resource with all secrets decrypted. */
export function openResource(resource: ResourceState, crypter: Crypter, cache: CiphertextCache): ResourceState {
  return mapProperties(resource, (value) => open(value, crypter, cache));
}

/** The resource with all secrets as plaintext, as `stack export --show-secrets` prints them. */
export function exposeResource(resource: ResourceState): ResourceState {
  return mapProperties(resource, expose);
}

function mapProperties(resource: ResourceState, map: (value: Value) => Value): ResourceState {
  const result = inOrder(resource);
  if (resource.inputs) result.inputs = mapObject(resource.inputs, map);
  if (resource.outputs) result.outputs = mapObject(resource.outputs, map);
  return result;
}

function walk(value: Value, map: (value: Value) => Value): Value {
  if (Array.isArray(value)) return value.map(map);
  return isObject(value) ? mapObject(value, map) : value;
}

function seal(value: Value, crypter: Crypter, cache: CiphertextCache): Value {
  if (!isSecret(value)) return walk(value, (item) => seal(item, crypter, cache));
  let ciphertext = cache.get(value);
  if (ciphertext === undefined) {
    ciphertext = crypter.encrypt(JSON.stringify(mark(value.value)));
    cache.set(value, ciphertext);
  }
  return { [SIGNATURE]: value[SIGNATURE], ciphertext };
}

/** A secret within a secret is only marked: what is around it is encrypted. */
function mark(value: Value): Value {
  if (!isSecret(value)) return walk(value, mark);
  return { [SIGNATURE]: value[SIGNATURE], ciphertext: JSON.stringify(mark(value.value)) };
}

function open(value: Value, crypter: Crypter, cache: CiphertextCache): Value {
  if (!isSecret(value)) return walk(value, (item) => open(item, crypter, cache));
  const { ciphertext, plaintext } = value as Props;
  if (typeof plaintext === "string") return secret(unmark(JSON.parse(plaintext)));
  const opened = secret(unmark(JSON.parse(crypter.decrypt(ciphertext as string))));
  cache.set(opened, ciphertext as string);
  return opened;
}

function unmark(value: Value): Value {
  if (!isSecret(value)) return walk(value, unmark);
  const { ciphertext, plaintext } = value as Props;
  return secret(unmark(JSON.parse((plaintext ?? ciphertext) as string)));
}

function expose(value: Value): Value {
  if (!isSecret(value)) return walk(value, expose);
  return { [SIGNATURE]: value[SIGNATURE], plaintext: JSON.stringify(expose(value.value)) };
}
