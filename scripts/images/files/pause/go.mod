module portolan.local/pause

go 1.19
