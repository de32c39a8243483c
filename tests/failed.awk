# What failed, of the file that TAILKUBE_COUNTS names: a long log's reader starts at its end.
NF > 3 { sub(/^[0-9]+ [0-9]+ [0-9]+ /, ""); print "failed: " $0 }
