#!/usr/bin/env node
import { run } from "./main";

// A reader that ends, such as head, is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
});
void run(process.argv.slice(2));
