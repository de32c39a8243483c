# shellcheck shell=bash
# On the operator's machine: runs a stage that changes a host's network, and is done only when the host has been reached again
# from outside. Prints the stage's result. After ssh.sh.

reach guard begin
status=0
run_guarded || status=$?
finish "$status"
