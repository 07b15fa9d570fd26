module example.com/kat

go 1.19
