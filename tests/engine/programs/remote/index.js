"use strict";
const { remote } = require("@pulumi/command");
const pulumi = require("@pulumi/pulumi");

const { HOST_PORT, HOST_KEY, USER_KEY, TOKEN } = process.env;
const script = new remote.Command(
  "script",
  {
    connection: {
      host: "127.0.0.1",
      port: Number(HOST_PORT),
      privateKey: USER_KEY,
      hostKey: HOST_KEY,
      dialErrorLimit: 3,
      perDialTimeout: 5,
    },
    create: "sh -s",
    stdin: pulumi.secret(`token=${TOKEN}; echo "{\\"address\\":\\"100.64.0.1\\",\\"token\\":\\"$token\\"}"`),
    logging: "none",
    addPreviousOutputInEnv: false,
  },
  { additionalSecretOutputs: ["stdout"] },
);
exports.address = script.stdout.apply((text) => JSON.parse(text).address);
