/** A project's Pulumi.yaml and a stack's Pulumi.<stack>.yaml. */
import { existsSync, readFileSync } from "fs";
import { dirname, join, resolve } from "path";
import { parse } from "yaml";
import type { Crypter } from "./state/passphrase";

interface ConfigDeclaration {
  type?: string;
  items?: { type?: string };
  default?: unknown;
  value?: unknown;
  secret?: boolean;
}

export interface Project {
  name: string;
  /** The folder of Pulumi.yaml. */
  root: string;
  /** What runs, from `main` (`.`: what package.json names). */
  entryPoint: string;
  /** The folder that the program runs in. */
  directory: string;
  typescript: boolean;
  nodeargs: string[];
  tsconfig: string | undefined;
  config: Record<string, unknown>;
}

/** A stack's config as a program gets it: everything as text. */
export interface Config {
  /** By `<namespace>:<name>`. */
  values: Record<string, string>;
  secretKeys: string[];
}

/** The project of a folder or of the nearest one above it. */
export function loadProject(directory: string): Project {
  let root = resolve(directory);
  while (!existsSync(join(root, "Pulumi.yaml"))) {
    if (root === dirname(root)) throw new Error(`no Pulumi.yaml in ${resolve(directory)} or above it`);
    root = dirname(root);
  }
  const file = join(root, "Pulumi.yaml");
  const document = (parse(readFileSync(file, "utf8")) ?? {}) as Record<string, unknown>;
  const runtime = typeof document.runtime === "string" ? { name: document.runtime } : (document.runtime as object);
  const { name, options = {} } = (runtime ?? {}) as { name?: string; options?: Record<string, unknown> };
  if (typeof document.name !== "string") throw new Error(`${file}: \`name\` is missing`);
  if (name !== "nodejs") throw new Error(`${file}: runtime "${name}" is not supported, only nodejs`);
  const main = typeof document.main === "string" ? resolve(root, document.main) : root;
  const isFile = /\.[cm]?[jt]s$/.test(main);
  return {
    name: document.name,
    root,
    entryPoint: isFile ? main : ".",
    directory: isFile ? dirname(main) : main,
    typescript: options.typescript !== false,
    nodeargs: typeof options.nodeargs === "string" ? options.nodeargs.split(/\s+/).filter(Boolean) : [],
    tsconfig: typeof options.tsconfig === "string" ? options.tsconfig : undefined,
    config: (document.config ?? {}) as Record<string, unknown>,
  };
}

/** A stack's config file, not yet decrypted. */
export interface StackFile {
  path: string;
  encryptionSalt: string | undefined;
  config: Record<string, unknown>;
}

/** @param path another file than Pulumi.<stack>.yaml beside Pulumi.yaml */
export function loadStackFile(project: Project, stack: string, path?: string): StackFile {
  const file = path ? resolve(path) : join(project.root, `Pulumi.${stack}.yaml`);
  if (!existsSync(file)) {
    if (path) throw new Error(`no config file ${file}`);
    return { path: file, encryptionSalt: undefined, config: {} };
  }
  const document = (parse(readFileSync(file, "utf8")) ?? {}) as Record<string, unknown>;
  const provider = document.secretsprovider;
  if (provider !== undefined && provider !== "passphrase") {
    throw new Error(`${file}: secretsprovider "${provider}" is not supported, only passphrase`);
  }
  if (document.environment !== undefined) throw new Error(`${file}: \`environment\` (ESC) is not supported`);
  return {
    path: file,
    encryptionSalt: document.encryptionsalt as string | undefined,
    config: (document.config ?? {}) as Record<string, unknown>,
  };
}

/**
 * The stack's values over the project's defaults, checked against the project's types.
 * @param crypter the crypter of the file's salt; needed when a value is `secure:`
 */
export function resolveConfig(project: Project, file: StackFile, crypter: Crypter | undefined): Config {
  const values: Record<string, string> = {};
  const secretKeys: string[] = [];
  for (const [key, raw] of Object.entries(file.config)) {
    const full = fullKey(project, key);
    const { value, secret } = decrypt(raw, crypter, `${file.path}: ${key}`);
    checkType(declarationOf(project, full), full, value);
    values[full] = asText(value);
    if (secret) secretKeys.push(full);
  }
  for (const key of Object.keys(project.config)) {
    const full = fullKey(project, key);
    const declaration = declarationOf(project, full)!;
    if (full in values) continue;
    const value = declaration.value ?? declaration.default;
    if (value === undefined || value === null) {
      throw new Error(`missing configuration value "${full}" (Pulumi.yaml gives it no default)`);
    }
    checkType(declaration, full, value);
    values[full] = asText(value);
    if (declaration.secret) secretKeys.push(full);
  }
  return { values, secretKeys };
}

function fullKey(project: Project, key: string): string {
  const legacy = /^([^:]+):config:(.+)$/.exec(key);
  if (legacy) return `${legacy[1]}:${legacy[2]}`;
  return key.includes(":") ? key : `${project.name}:${key}`;
}

function declarationOf(project: Project, full: string): ConfigDeclaration | undefined {
  for (const [key, raw] of Object.entries(project.config)) {
    if (fullKey(project, key) !== full) continue;
    return typeof raw === "object" && raw !== null ? (raw as ConfigDeclaration) : { default: raw };
  }
  return undefined;
}

/** A value that holds `{secure: …}` at any depth is secret as a whole. */
function decrypt(raw: unknown, crypter: Crypter | undefined, label: string): { value: unknown; secret: boolean } {
  if (Array.isArray(raw)) {
    const items = raw.map((item) => decrypt(item, crypter, label));
    return { value: items.map((item) => item.value), secret: items.some((item) => item.secret) };
  }
  if (typeof raw !== "object" || raw === null) return { value: raw, secret: false };
  const entries = Object.entries(raw);
  if (entries.length === 1 && entries[0]![0] === "secure" && typeof entries[0]![1] === "string") {
    if (!crypter) throw new Error(`${label} is \`secure:\`, but the file has no \`encryptionsalt\``);
    return { value: crypter.decrypt(entries[0]![1]), secret: true };
  }
  const members = entries.map(([key, item]) => [key, decrypt(item, crypter, label)] as const);
  return {
    value: Object.fromEntries(members.map(([key, member]) => [key, member.value])),
    secret: members.some(([, member]) => member.secret),
  };
}

function checkType(declaration: ConfigDeclaration | undefined, key: string, value: unknown): void {
  const type = declaration?.type;
  if (type && !matches(type, value, declaration.items?.type)) {
    const wanted = type === "array" && declaration.items?.type ? `array of ${declaration.items.type}` : type;
    throw new Error(`configuration value "${key}" must be of type ${wanted}`);
  }
}

/** Like Pulumi, takes `"true"` for a boolean and `"5"` for an integer. */
function matches(type: string, value: unknown, items: string | undefined): boolean {
  switch (type) {
    case "string":
      return typeof value === "string" || typeof value === "number" || typeof value === "boolean";
    case "boolean":
      return typeof value === "boolean" || value === "true" || value === "false";
    case "integer":
      return Number.isInteger(value) || (typeof value === "string" && /^-?\d+$/.test(value));
    case "array":
      return Array.isArray(value) && (!items || value.every((item) => matches(items, item, undefined)));
    case "object":
      return typeof value === "object" && value !== null && !Array.isArray(value);
    default:
      throw new Error(`config type "${type}" in Pulumi.yaml is not supported`);
  }
}

function asText(value: unknown): string {
  return typeof value === "object" && value !== null ? JSON.stringify(value) : String(value);
}
