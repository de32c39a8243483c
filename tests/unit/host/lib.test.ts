import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, utimesSync, lstatSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import fc from "fast-check";
import { shellQuote } from "../../../components/hosts/script-text";
import {
  assignments,
  bash,
  bashOk,
  logOf,
  removeTemporaryFolders,
  snapshot,
  temporaryFolder,
  withLibrary,
  write,
} from "./bash";
import { isThorough, placesTried, someOf } from "../samples";

afterEach(removeTemporaryFolders);

/** What a run says that it changed. */
function changes(stdout: string): string[] {
  return (JSON.parse(stdout) as { changed: string[] }).changed;
}

/** A host's file system before anything of ours is on it. */
function hostRoot(): string {
  const root = temporaryFolder();
  write(`${root}/etc/old.conf`, "the user's\n", 0o600);
  write(`${root}/etc/private/tool.conf`, "private\n", 0o640);
  chmodSync(`${root}/etc/private`, 0o750);
  chmodSync(`${root}/etc`, 0o1777);
  write(`${root}/usr/bin/tool`, "#!/bin/sh\necho old\n", 0o755);
  write(`${root}/bundle/tool`, "#!/bin/sh\necho new\n", 0o644);
  mkdirSync(`${root}/var/lib`, { recursive: true });
  write(`${root}/etc/target.conf`, "target\n");
  symlinkSync("target.conf", `${root}/etc/link.conf`);
  return root;
}

/** A stage that makes files, replaces files, and has folders to make for them. `if` is how the stages ask. */
const work = `
apply() {
    if install_text "$ROOT/etc/new/deep/new.conf" 0644 $'a\\nb'; then :; fi
    if install_text "$ROOT/etc/old.conf" 0644 ours; then :; fi
    if install_text "$ROOT/etc/private/tool.conf" 0600 ours; then :; fi
    if install_text "$ROOT/etc/link.conf" 0644 ours; then :; fi
    if install_binary "$ROOT/bundle/tool" "$ROOT/usr/bin/tool"; then :; fi
    if install_binary "$ROOT/bundle/tool" "$ROOT/usr/sbin/tool"; then :; fi
    own "$TK_STATE/remembered"
    : >"$TK_STATE/remembered"
}
`;

function stage(root: string, text: string, name = "test"): string {
  return withLibrary(root, `${assignments({ ROOT: root })}\n${work}\n${text}`, name);
}

/** Without what the library keeps for itself. */
function withoutState(files: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(files).filter(([path]) => !path.startsWith("var/lib/tailkube")));
}

describe("json_string", () => {
  it("gives JSON of any text, less the control characters that no text of ours has", () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            fc.string({ unit: "binary", maxLength: 40 }),
            fc.string({ unit: fc.constantFrom(...'"\\\n\t\r/\u0001\u001b\u001f\u007fa'), maxLength: 20 }),
          ),
          { minLength: 1, maxLength: 50 },
        ),
        (binary) => {
          const texts = binary.map((text) => text.replaceAll("\0", ""));
          const stdout = bashOk(withLibrary("/nonexistent", `json_list ${texts.map(shellQuote).join(" ")}`));
          const expected = texts.map((text) => text.replace(/[\x01-\x08\x0b-\x1f\x7f]/g, ""));
          expect(JSON.parse(stdout)).to.deep.equal(expected);
        },
      ),
      { numRuns: 20 },
    );
  });
});

describe("result", () => {
  it("is one line of JSON: what changed, and the values as texts", () => {
    const stdout = bashOk(
      withLibrary("/nonexistent", `changed 'wrote "x"'\nchanged b\nresult address 100.64.0.1 count 3 empty ''`),
    );
    expect(stdout.endsWith("}\n") && stdout.indexOf("\n") === stdout.length - 1).to.equal(true);
    expect(JSON.parse(stdout)).to.deep.equal({
      changed: ['wrote "x"', "b"],
      address: "100.64.0.1",
      count: "3",
      empty: "",
    });
  });

  it("says that nothing changed where nothing did", () => {
    expect(bashOk(withLibrary("/nonexistent", "result"))).to.equal('{"changed":[]}\n');
  });
});

describe("fail", () => {
  it("ends the stage with one line on stderr that says where", () => {
    const { status, stdout, stderr } = bash(withLibrary("/nonexistent", "fail it is $((1 + 1)) o\\'clock\necho never"));
    expect({ status, stdout, stderr }).to.deep.equal({
      status: 1,
      stdout: "",
      stderr: "tailkube: node1: test: it is 2 o'clock\n",
    });
  });
});

describe("poll and wait_for", () => {
  it("try until the command succeeds", () => {
    const root = temporaryFolder();
    const text = `tries=0; third() { tries=$((tries + 1)); [ $tries = 3 ]; }; sleep() { :; }; poll 5 third; echo $tries`;
    expect(bashOk(withLibrary(root, text))).to.equal("3\n");
  });

  it("try once when there is no time", () => {
    expect(bashOk(withLibrary("/nonexistent", "poll 0 true && ! poll 0 false && echo ok"))).to.equal("ok\n");
  });

  it("fail the stage with what was waited for", () => {
    const { status, stderr } = bash(withLibrary("/nonexistent", 'wait_for 0 "the moon is not up" false'));
    expect(status).to.equal(1);
    expect(stderr).to.equal("tailkube: node1: test: the moon is not up (waited 0 s)\n");
  });

  it("name the question that the last try had no answer to, and none that was answered since", () => {
    const tries = (answers: string) =>
      `sleep() { SECONDS=$((SECONDS + 1)); }; answers=(${answers}); tries=0
      is_up() { tries=$((tries + 1)); "\${answers[tries - 1]}" || unanswered "whether the moon is up, to the sky" || return; false; }
      wait_for 1 "the moon is not up" is_up`;
    const said = (answers: string) => bash(withLibrary(temporaryFolder(), tries(answers))).stderr;
    expect(said("true false")).to.equal(
      "tailkube: node1: test: the moon is not up (waited 1 s; no answer to the question whether the moon is up, to the sky)\n",
    );
    expect(said("false true")).to.equal("tailkube: node1: test: the moon is not up (waited 1 s)\n");
  });
});

describe("main", () => {
  const verbs = "apply() { echo applied; }\nremove() { echo removed; }";

  it("runs the verb that it is given", () => {
    const root = temporaryFolder();
    expect(bashOk(withLibrary(root, `${verbs}\nmain apply`))).to.equal("applied\n");
    expect(bashOk(withLibrary(root, `${verbs}\nmain remove`))).to.equal("removed\n");
  });

  it("refuses any other", () => {
    const { status, stdout, stderr } = bash(withLibrary(temporaryFolder(), `${verbs}\nmain destroy`));
    expect({ status, stdout, stderr }).to.deep.equal({
      status: 1,
      stdout: "",
      stderr: "tailkube: node1: test: unknown verb destroy\n",
    });
  });

  it("ends at the first command that fails, in a function's middle and in a pipe", () => {
    for (const command of ["false", "false | true", 'echo "$unset"']) {
      const { status, stdout } = bash(withLibrary(temporaryFolder(), `apply() { ${command}; echo on; }\nmain apply`));
      expect(status, command).to.not.equal(0);
      expect(stdout, command).to.equal("");
    }
  });

  it("waits for another stage on the same host, but not for ever", () => {
    const root = temporaryFolder();
    const held = `mkdir -p "$TK_RUN"; exec 8>"$TK_RUN/lock"; flock 8; TK_LOCK_SECONDS=1`;
    const { status, stdout, stderr } = bash(withLibrary(root, `${verbs}\n${held}\nmain apply`));
    expect({ status, stdout }).to.deep.equal({ status: 1, stdout: "" });
    expect(stderr).to.match(
      /^tailkube: node1: test: another tailkube script still runs on this host after 1 s \('fuser -v \S+\/lock' names its processes\)\. .*\n$/,
    );
    const freed = `mkdir -p "$TK_RUN"; (exec 8>"$TK_RUN/lock"; flock 8; sleep 0.5) & sleep 0.1`;
    expect(bashOk(withLibrary(root, `${verbs}\n${freed}\nmain apply`))).to.equal("applied\n");
  });

  it("says which stage it has waited for", () => {
    const root = temporaryFolder();
    bashOk(withLibrary(root, `${verbs}\nmain apply`, "runtime"));
    const other = `exec 8>>"$TK_RUN/lock"; flock 8; TK_LOCK_SECONDS=1`;
    expect(bash(withLibrary(root, `${verbs}\n${other}\nmain apply`)).stderr).to.match(
      /: stage runtime of node node1, process \d+, begun at \S+Z, still runs on this host after 1 s/,
    );
  });
});

describe("install_text", () => {
  it("writes text and mode, makes the folders, and says so", () => {
    const root = temporaryFolder();
    const path = `${root}/etc/a/b/file`;
    const stdout = bashOk(withLibrary(root, `install_text ${path} 0640 $'one\\ntwo $x'\nresult`));
    expect(readFileSync(path, "utf8")).to.equal("one\ntwo $x\n");
    expect(lstatSync(path).mode & 0o7777).to.equal(0o640);
    expect(changes(stdout)).to.deep.equal([`wrote ${path}`]);
    expect(existsSync(`${path}.tailkube`)).to.equal(false);
  });

  it("keeps what it replaces for root alone, in whatever folder that was", () => {
    const root = temporaryFolder();
    write(`${root}/etc/closed/file`, "password");
    bashOk(withLibrary(root, `umask 022; install_text ${root}/etc/closed/file 0644 text`));
    const copies = `${root}/var/lib/tailkube/backup.test`;
    expect(readFileSync(`${copies}${root}/etc/closed/file`, "utf8")).to.equal("password");
    expect((lstatSync(copies).mode & 0o777).toString(8)).to.equal("700");
  });

  it("and install_binary have the file on the disk before it takes its place, and then its place", () => {
    const root = temporaryFolder();
    write(`${root}/tool`, "binary", 0o755);
    const noted =
      'log() { echo "$*" >>"$ROOT/log"; }; sync() { log "sync ${*: -1}"; }; mv() { log "mv ${*: -1}"; command mv "$@"; }';
    const text = `ROOT=${root}; ${noted}\ninstall_text ${root}/etc/file 0644 text; install_binary ${root}/tool ${root}/bin/tool`;
    bashOk(withLibrary(root, text));
    const log = readFileSync(`${root}/log`, "utf8").trim().split("\n");
    for (const path of [`${root}/etc/file`, `${root}/bin/tool`]) {
      const at = log.indexOf(`mv ${path}`);
      expect(log[at - 1]).to.equal(`sync ${path}.tailkube`);
      expect(log.slice(at + 1)).to.include(`sync ${path.slice(0, path.lastIndexOf("/"))}`);
    }
  });

  it("tells by its exit status whether anything changed: text, its end, mode", () => {
    const root = temporaryFolder();
    const path = `${root}/file`;
    const ask = (command: string) => `if ${command}; then echo changed; else echo same; fi`;
    const stdout = bashOk(
      withLibrary(
        root,
        [
          ask(`install_text ${path} 0644 text`),
          ask(`install_text ${path} 0644 text`),
          `chmod 0600 ${path}`,
          ask(`install_text ${path} 0644 text`),
          `printf text >${path}`,
          ask(`install_text ${path} 0644 text`),
          `printf 'text\\n\\n' >${path}`,
          ask(`install_text ${path} 0644 text`),
          ask(`install_text ${path} 0644 other`),
        ].join("\n"),
      ),
    );
    expect(stdout.trim().split("\n")).to.deep.equal(["changed", "same", "changed", "changed", "changed", "changed"]);
  });

  it("changes nothing that it could not undo: no record, no file", () => {
    const root = hostRoot();
    write(`${root}/var/lib/tailkube`, "a file where the folder should be");
    const before = snapshot(root);
    const { status, stderr } = bash(stage(root, `if install_text "$ROOT/etc/fresh" 0644 x; then echo done; fi`));
    expect(snapshot(root)).to.deep.equal(before);
    expect(status).to.equal(1);
    expect(stderr).to.match(/tailkube: node1: test: /);
  });

  it("changes nothing that it could not undo: no copy, no replacement", () => {
    const root = hostRoot();
    write(`${root}/var/lib/tailkube/backup.test`, "a file where the folder should be");
    const { status, stderr } = bash(stage(root, `if install_text "$ROOT/etc/old.conf" 0644 x; then echo done; fi`));
    expect(readFileSync(`${root}/etc/old.conf`, "utf8")).to.equal("the user's\n");
    expect(status).to.equal(1);
    expect(stderr).to.match(/tailkube: node1: test: /);
  });
});

describe("a stage's files", () => {
  it("are put in place once: a second run changes nothing", () => {
    const root = hostRoot();
    expect(changes(bashOk(stage(root, "apply; result")))).to.have.lengthOf(6);
    const after = snapshot(root);
    expect(changes(bashOk(stage(root, "apply; result")))).to.deep.equal([]);
    expect(snapshot(root)).to.deep.equal(after);
    expect(after["etc/new/deep/new.conf"]).to.equal("644 a\nb\n");
    expect(after["etc/old.conf"]).to.equal("644 ours\n");
    expect(after["etc/link.conf"]).to.equal("644 ours\n");
    expect(after["etc/target.conf"]).to.equal("644 target\n");
    expect(after["usr/bin/tool"]).to.equal("755 #!/bin/sh\necho new\n");
  });

  it("leave the host as it was when they are undone", () => {
    const root = hostRoot();
    const before = snapshot(root);
    const time = new Date("2020-02-02T02:02:02Z");
    utimesSync(`${root}/etc/old.conf`, time, time);
    bashOk(stage(root, "apply"));
    bashOk(stage(root, "clean_up_files"));
    expect(snapshot(root)).to.deep.equal(before);
    expect(lstatSync(`${root}/etc/old.conf`).mtime).to.deep.equal(time);
    bashOk(stage(root, "clean_up_files"));
    expect(snapshot(root)).to.deep.equal(before);
  });

  it("are undone to what was there first, not to what another run of ours made", () => {
    const root = hostRoot();
    const before = snapshot(root);
    for (const text of ["one", "two"]) {
      bashOk(stage(root, `apply; install_text "$ROOT/etc/old.conf" 0644 ${text}`));
    }
    // What the user makes of a file of ours in between is ours to replace.
    write(`${root}/etc/old.conf`, "edited\n");
    bashOk(stage(root, "apply; clean_up_files"));
    expect(snapshot(root)).to.deep.equal(before);
  });

  it("are no other stage's to undo", () => {
    const root = hostRoot();
    bashOk(stage(root, "apply"));
    const other = `install_text "$ROOT/etc/other.conf" 0644 x`;
    const between = snapshot(root);
    bashOk(stage(root, other, "other"));
    bashOk(stage(root, "clean_up_files", "other"));
    expect(snapshot(root)).to.deep.equal(between);
  });

  it("stay in a folder of ours that holds something of the user's", () => {
    const root = hostRoot();
    bashOk(stage(root, "apply"));
    write(`${root}/etc/new/deep/users`, "x\n");
    bashOk(stage(root, "clean_up_files"));
    expect(readFileSync(`${root}/etc/new/deep/users`, "utf8")).to.equal("x\n");
    expect(existsSync(`${root}/etc/new/deep/new.conf`)).to.equal(false);
  });

  it("come back into a folder that somebody removed in between", () => {
    const root = hostRoot();
    bashOk(stage(root, "apply"));
    rmSync(`${root}/etc/private`, { recursive: true });
    bashOk(stage(root, "clean_up_files"));
    expect(readFileSync(`${root}/etc/private/tool.conf`, "utf8")).to.equal("private\n");
  });
});

describe(`a stage that is killed half-way (${placesTried})`, function () {
  this.timeout(isThorough ? 900_000 : 60_000);

  /** Runs a command of the stage and kills the shell before its step-th command; 0: never. Prints the steps made. */
  const killed = (command: string, step: number) =>
    `( steps=0; set -T; trap 'steps=$((steps + 1)); [ $steps != ${step} ] || kill -KILL $BASHPID' DEBUG; ${command}; trap - DEBUG; echo $steps ) || true`;

  /** How many commands there are to be killed before. */
  const stepsOf = (command: string) => Number(bash(stage(hostRoot(), killed(command, 0))).stdout);

  it("has written down every file before it is made, and is finished by the next run", () => {
    const template = hostRoot();
    const untouched = withoutState(snapshot(template));
    bashOk(stage(template, "apply"));
    const finished = withoutState(snapshot(template));
    const steps = stepsOf("apply");
    expect(steps).to.be.greaterThan(50);
    for (const step of someOf(steps, 6)) {
      const root = hostRoot();
      bash(stage(root, killed("apply", step)));
      const record = `${root}/var/lib/tailkube/owned.test`;
      const owned = existsSync(record) ? readFileSync(record, "utf8").split("\n") : [];
      for (const [path, entry] of Object.entries(withoutState(snapshot(root)))) {
        if (untouched[path] !== entry) {
          expect(owned, `${path} at step ${step}`).to.include(join(root, path.replace(/\.tailkube$/, "")));
        }
      }
      bashOk(stage(root, "apply"));
      expect(withoutState(snapshot(root)), `applied after step ${step}`).to.deep.equal(finished);
      bashOk(stage(root, "clean_up_files"));
      expect(withoutState(snapshot(root)), `undone after step ${step}`).to.deep.equal(untouched);
    }
  });

  it("is undone from where it stopped", () => {
    const untouched = snapshot(hostRoot());
    const steps = stepsOf("apply");
    for (const step of someOf(steps, 4)) {
      const root = hostRoot();
      bash(stage(root, killed("apply", step)));
      bashOk(stage(root, "clean_up_files"));
      expect(snapshot(root), `step ${step}`).to.deep.equal(untouched);
    }
  });

  it("is undone to the end by the next run, if it was the undoing", () => {
    const untouched = snapshot(hostRoot());
    const steps = stepsOf("apply; clean_up_files") - stepsOf("apply");
    // The last steps are where the record and the copies go.
    for (const step of [...someOf(steps, 3), ...Array.from({ length: 6 }, (_, i) => steps - i)]) {
      const root = hostRoot();
      bash(stage(root, `apply\n${killed("clean_up_files", step)}`));
      bashOk(stage(root, "clean_up_files"));
      expect(snapshot(root), `step ${step} of ${steps}`).to.deep.equal(untouched);
    }
  });

  it("loses nothing if it was killed while it removed the copies", () => {
    const root = hostRoot();
    const untouched = snapshot(root);
    const text = `apply
      rm() { case "$*" in *backup.test*) find "$TK_STATE/backup.test" -name old.conf -delete; kill -KILL $BASHPID ;; *) command rm "$@" ;; esac; }
      clean_up_files`;
    bash(stage(root, text));
    bashOk(stage(root, "clean_up_files"));
    expect(snapshot(root)).to.deep.equal(untouched);
  });
});

describe("unit_start and unit_stop", () => {
  /** A systemctl that knows one unit and notes what changes it. */
  const systemctl = (state: { enabled: boolean; active: boolean }) => `
enabled=${state.enabled} active=${state.active}
systemctl() {
    case "$1" in
    is-enabled) [ $enabled = true ] ;;
    show) if [ $active = true ]; then echo active; else echo inactive; fi ;;
    *) echo "systemctl $*" ;;
    esac
}`;
  const run = (state: { enabled: boolean; active: boolean }, command: string) =>
    bashOk(withLibrary(hostRoot(), `mkdir -p "$TK_RUN"\n${systemctl(state)}\n${command}\nresult`))
      .trim()
      .split("\n");

  it("enables and starts what is not", () => {
    expect(run({ enabled: false, active: false }, "unit_start u.service")).to.deep.equal([
      "systemctl enable --quiet u.service",
      "systemctl start u.service",
      '{"changed":["enabled u.service","started u.service"]}',
    ]);
  });

  it("leaves alone what runs", () => {
    expect(run({ enabled: true, active: true }, "unit_start u.service")).to.deep.equal(['{"changed":[]}']);
  });

  it("restarts what reads a file that has changed, also after a run that ended in between, and once", () => {
    const root = hostRoot();
    const unit = `${root}/etc/systemd/system/u.service`;
    const install = `TK_READERS=u.service install_text ${unit} 0644`;
    const all = (text: string) =>
      bashOk(withLibrary(root, `mkdir -p "$TK_RUN"\n${systemctl({ enabled: true, active: true })}\n${text}`))
        .trim()
        .split("\n");
    all(`${install} one || true`);
    expect(all(`${install} one || true; unit_start u.service`)).to.deep.equal([
      "systemctl daemon-reload",
      "systemctl restart u.service",
    ]);
    expect(all(`${install} one || true; unit_start u.service; unit_start other.service`)).to.deep.equal([""]);
    // Neither a reload nor a restart that fails counts.
    for (const verb of ["daemon-reload", "restart"]) {
      const text = `${install} ${verb} || true; eval "real_$(declare -f systemctl)"; systemctl() { [ "$1" != ${verb} ] && real_systemctl "$@"; }; unit_start u.service`;
      expect(
        bash(withLibrary(root, `mkdir -p "$TK_RUN"\n${systemctl({ enabled: true, active: true })}\n${text}`)).status,
      ).to.equal(1);
      expect(all("unit_start u.service")).to.include("systemctl restart u.service");
    }
    all(`TK_READERS=u.service install_text ${root}/etc/u.conf 0644 text || true`);
    expect(all("read_again u.service reload; read_again u.service reload")).to.deep.equal([
      "systemctl reload u.service",
    ]);
  });

  it("restarts only when asked", () => {
    expect(run({ enabled: true, active: true }, "unit_start u.service restart")).to.deep.equal([
      "systemctl restart u.service",
      '{"changed":["restarted u.service"]}',
    ]);
  });

  it("is told apart by systemd's answer, and not by its silence", () => {
    const text = (answers: string) => `mkdir -p "$TK_RUN"
      SECONDS=0; sleep() { SECONDS=$((SECONDS + 1)); }
      systemctl() { ${answers}; }
      if unit_runs u.service; then echo yes; else echo no; fi`;
    expect(bashOk(withLibrary(hostRoot(), text("echo active")))).to.equal("yes\n");
    expect(bashOk(withLibrary(hostRoot(), text("echo failed")))).to.equal("no\n");
    expect(bashOk(withLibrary(hostRoot(), text("echo activating")))).to.equal("no\n");
    // Its containers are there, and it will list them in a moment.
    const containerd = (state: string) =>
      bash(withLibrary(hostRoot(), text(`echo ${state}`).replace("u.service", "containerd.service")));
    expect(containerd("inactive").stdout).to.equal("no\n");
    for (const state of ["activating"]) {
      const { stdout, stderr } = containerd(state);
      expect(stdout, state).to.equal("");
      expect(stderr).to.include("whether containerd.service runs").and.to.include(`it is ${state}`);
    }
    const second = '[ -e "$TK_RUN/asked" ] || { : >"$TK_RUN/asked"; return 1; }; echo active';
    expect(bashOk(withLibrary(hostRoot(), text(second)))).to.equal("yes\n");
    for (const silence of ["return 1", "echo"]) {
      const { stdout, stderr } = bash(withLibrary(hostRoot(), text(silence)));
      expect(stdout).to.equal("");
      expect(stderr).to.include("no answer after 30 s to the question whether u.service runs");
    }
  });

  it("is restarted to lose what was taken away only if it runs", () => {
    const lose = (answers: string) => {
      const root = hostRoot();
      const text = `mkdir -p "$TK_RUN"
        SECONDS=0; sleep() { SECONDS=$((SECONDS + 1)); }
        systemctl() { ${answers}; }
        restart_running u.service "its settings"`;
      return { ...bash(withLibrary(root, text)), log: logOf(root) };
    };
    const answers = (state: string) =>
      `if [ "$1" = show ]; then echo ${state}; else echo "$*" >>"$TK_RUN/../../log"; fi`;
    expect(lose(answers("active"))).to.deep.include({ status: 0, log: ["restart u.service"] });
    expect(lose(answers("inactive"))).to.deep.include({ status: 0, log: [] });
    expect(lose("false").stderr).to.include("no answer after 30 s to the question whether u.service runs");
    const failing = lose('[ "$1" = show ] && echo active');
    expect(failing.status).to.equal(1);
    expect(failing.stderr).to.include("systemctl cannot restart u.service, which still has its settings");
  });

  it("fails with what fails", () => {
    const failing = "systemctl() { false; }";
    expect(bash(withLibrary("/nonexistent", `${failing}\nunit_start u.service\necho on`)).stdout).to.equal("");
    expect(bashOk(withLibrary("/nonexistent", `${failing}\nunit_stop u.service\necho on`))).to.equal("on\n");
  });
});

describe("ask", () => {
  const asking = (command: string, then: string) => {
    const root = temporaryFolder();
    const text = `mkdir -p "$TK_RUN"\nsleep() { command sleep 0.02; }\ncount=0\n${command}\n${then}`;
    return bash(withLibrary(root, text));
  };

  it("tells an empty answer from none", () => {
    const done = asking("nothing() { :; }", 'ask 5 "which nodes there are" nothing\nprintf "%s|" "$ANSWER"');
    expect(done).to.include({ status: 0, stdout: "|" });
  });

  it("asks again until there is an answer", () => {
    const done = asking(
      'third() { echo x >>"$TK_RUN/asked"; [ "$(wc -l <"$TK_RUN/asked")" = 3 ] && echo w1; }',
      'ask 5 "which nodes there are" third\nprintf "%s" "$ANSWER"',
    );
    expect(done).to.include({ status: 0, stdout: "w1" });
  });

  it("fails the stage with the question and the last error, in a condition too", () => {
    const done = asking(
      'never() { echo "etcdserver: request timed out" >&2; return 1; }',
      'if ask 1 "which nodes there are" never; then echo yes; else echo no; fi; echo on',
    );
    expect(done.status).to.equal(1);
    expect(done.stdout).to.equal("");
    expect(done.stderr).to.equal(
      "tailkube: node1: test: no answer after 1 s to the question which nodes there are (last error: etcdserver: request timed out)\n",
    );
  });
});

describe("until_none", () => {
  const run = (remove: string, list = 'cat "$TK_RUN/there"') =>
    bash(
      withLibrary(
        temporaryFolder(),
        `mkdir -p "$TK_RUN"; printf 'one 1\\ntwo 2\\n' >"$TK_RUN/there"
        sleep() { SECONDS=$((SECONDS + 5)); }
        list() { ${list}; }
        remove() { echo "$1" >>"$TK_RUN/removed"; ${remove}; }
        trap 'cat "$TK_RUN/removed"' EXIT
        until_none 20 "it cannot be removed" "what there is (ls)" list remove`,
      ),
    );
  const takes = 'sed -i "/^$1$/d" "$TK_RUN/there"';

  it("removes each line, and asks again until there is none", () => {
    expect(run(takes)).to.include({ status: 0, stderr: "", stdout: "one 1\ntwo 2\n" });
    const second = `[ "$(grep -c . "$TK_RUN/removed")" -lt 3 ] || ${takes}`;
    expect(run(second)).to.include({ status: 0, stdout: "one 1\ntwo 2\none 1\ntwo 2\n" });
  });

  it("believes what it sees, not what a removal says", () => {
    expect(run(`${takes}; false`)).to.include({ status: 0, stderr: "" });
    const { status, stderr } = run("true");
    expect(status).to.equal(1);
    expect(stderr).to.include("it cannot be removed: one 1\n");
  });

  it("tries, however late the first answer comes", () => {
    const late = 'echo >>"$TK_RUN/asked"; [ "$(wc -l <"$TK_RUN/asked")" -gt 4 ] || return 1; cat "$TK_RUN/there"';
    expect(run(takes, late)).to.include({ status: 0, stderr: "", stdout: "one 1\ntwo 2\n" });
  });

  it("takes no answer for none", () => {
    const { status, stderr } = run("true", "return 1");
    expect(status).to.equal(1);
    expect(stderr).to.include("no answer after 20 s to the question what there is (ls)");
  });
});

describe("what dpkg says of a package", () => {
  const ask = (answer: string, text: string) =>
    bash(
      withLibrary(
        temporaryFolder(),
        `mkdir -p "$TK_RUN"; sleep() { SECONDS=$((SECONDS + 15)); }; dpkg-query() { ${answer}; }; ${text}`,
      ),
    );

  it("is a version, none, or no answer, after which nothing is taken for ours", () => {
    const version = 'ask_version kubelet; echo "<$ANSWER>"';
    expect(ask('echo "installed 1:1.36.3-1.1"', version).stdout).to.equal("<1.36.3>\n");
    expect(ask('echo "config-files 1.36.3-1.1"', version).stdout).to.equal("<>\n");
    const none = 'echo "dpkg-query: no packages found matching kubelet" >&2; return 1';
    expect(ask(none, version).stdout).to.equal("<>\n");
    const broken = 'echo "dpkg-query: error: failed to open package info file" >&2; return 2';
    for (const text of [version, "record_packages kubelet; echo recorded"]) {
      const { status, stdout, stderr } = ask(broken, text);
      expect({ status, stdout }).to.deep.equal({ status: 1, stdout: "" });
      expect(stderr).to.include("which version of the package kubelet is installed").and.to.include("failed to open");
    }
  });

  it("is a file's package, none, or no answer", () => {
    const of = "package_of /usr/bin/containerd && echo done";
    expect(ask('echo "containerd.io: /usr/bin/containerd"', of).stdout).to.equal("containerd.io\ndone\n");
    const none = 'echo "dpkg-query: no path found matching pattern /usr/bin/containerd" >&2; return 1';
    expect(ask(none, of).stdout).to.match(/^\n?done\n$/);
    expect(ask("return 2", of)).to.include({ stdout: "" });
  });
});

describe("record", () => {
  it("writes the file whole and leaves no other", () => {
    const root = temporaryFolder();
    bashOk(withLibrary(root, 'record "$TK_STATE/joined" mark-1\nrecord "$TK_STATE/joined" mark-2'));
    expect(snapshot(`${root}/var/lib/tailkube`)).to.deep.equal({ joined: "644 mark-2\n" });
  });
});
