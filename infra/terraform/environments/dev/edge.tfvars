zone                 = "dev.example.com"
hostname             = "hello.dev.example.com"
requests_per_address = 2000
price_class          = "PriceClass_100"
log_retention_days   = 30
