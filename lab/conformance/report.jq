# Of Ginkgo's report: for each test that was chosen, a line of what came of it, its name, and why.
($chosen | split("\n") | map(select(. != ""))) as $names
| ([.[].SpecReports[] | {key: ((.ContainerHierarchyTexts // []) + [.LeafNodeText] | join(" ")), value: .}] | from_entries) as $specs
| ([.[].SpecReports[] | select(.LeafNodeType != "It" and .State == "failed") | "\(.LeafNodeType): \(.Failure.Message)"]) as $suite
| $names[] as $name
| $specs[$name] as $spec
| if $spec.State == "passed" then ["passed", $name, ""]
  # Skipped by the test itself, with a reason; without one it was not reached.
  elif $spec.State == "skipped" and ($spec.Failure.Message // "") != "" then ["skipped", $name, $spec.Failure.Message]
  elif $spec == null or $spec.State == "skipped" then ["failed", $name, "not run: \($suite[0] // "the time was up")"]
  else ["failed", $name, "\($spec.State): \($spec.Failure.Message)"] end
| map(gsub("[\\s]+"; " ") | .[0:600]) | @tsv
