# shellcheck shell=sh
# __set_task_comm() calls the tracepoint task_rename: a static key and a static call. It must still fire.
events=/sys/kernel/tracing
rename() { sh -c 'echo plainly >/proc/self/comm; read -r comm </proc/self/comm; echo "$comm"'; }
old() { expect_eq comm plainly "$(rename)"; }
new() {
  expect_eq comm Plainly "$(rename)" || return 1
  echo >$events/trace
  echo 1 >$events/events/task/task_rename/enable
  expect_eq 'comm, traced' Plainly "$(rename)" || return 1
  echo 0 >$events/events/task/task_rename/enable
  expect_in trace 'newcomm=plainly' "$(cat $events/trace)"
}
cleanup() {
  echo 0 >$events/events/task/task_rename/enable
  echo >$events/trace
}
