module tailkube.dev/tests/kubectl

go 1.22
