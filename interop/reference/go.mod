module aire-interop-reference

go 1.24
