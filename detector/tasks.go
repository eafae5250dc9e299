package detector

func attribute(Worker, Options) []TaskVerdict { return nil }
