# shellcheck shell=bash
# What the checks have found wrong, a line each; and the probes' findings, in a file for check-report.sh.
# shellcheck disable=SC2034

FAILURES=()
failed() { FAILURES+=("$*"); }

FINDINGS=$TK_RUN/findings
