zone                 = "staging.example.com"
hostname             = "hello.staging.example.com"
requests_per_address = 2000
price_class          = "PriceClass_100"
log_retention_days   = 30
