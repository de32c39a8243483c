import tseslint from "typescript-eslint";

/** The house, from the top: a file imports nothing of a floor above its own. docs/develop/architecture.md has it in words. */
const floors = [
  "command",
  "components/cluster",
  "config",
  "preview",
  "components/kubernetes",
  "components/network",
  "components/hosts",
  "model",
];
const oneWay = floors.map((floor, i) => ({
  files: [`${floor}/**/*.ts`],
  rules: {
    "no-restricted-imports": [
      "error",
      {
        patterns: ["index", ...floors.slice(0, i)].map((above) => ({
          regex: `^(\\.\\./)+(components/)?${above.replace("components/", "")}(/|$)`,
          message: `${floor} is below ${above}: imports go down only.`,
        })),
      },
    ],
  },
}));

export default tseslint.config(
  { ignores: ["node_modules/**", "lab/.state/**", "dist/**"] },
  ...tseslint.configs.recommendedTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_" }],
      eqeqeq: "error",
      "prefer-const": "error",
      // It is how a function says that its errors are rejections.
      "@typescript-eslint/require-await": "off",
    },
  },
  {
    // CommonJS, as a Pulumi program in plain JavaScript is; not of the TypeScript project.
    files: ["**/*.js", "**/*.cjs", "**/*.mjs"],
    extends: [tseslint.configs.disableTypeChecked],
    rules: { "@typescript-eslint/no-require-imports": "off" },
  },
  {
    // chai's `expect(x).to.be.true` is an expression by design; and tests look into documents of any shape, where a wrong guess fails.
    files: ["tests/**/*.ts"],
    rules: {
      "@typescript-eslint/no-unused-expressions": "off",
      "@typescript-eslint/no-base-to-string": "off",
      "@typescript-eslint/no-unsafe-assignment": "off",
      "@typescript-eslint/no-unsafe-member-access": "off",
      "@typescript-eslint/no-unsafe-return": "off",
      "@typescript-eslint/restrict-template-expressions": "off",
    },
  },
  ...oneWay,
);
