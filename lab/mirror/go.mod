module tailkube.invalid/lab/mirror

go 1.26
