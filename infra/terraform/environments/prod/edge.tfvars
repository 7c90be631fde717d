zone                 = "example.com"
hostname             = "hello.example.com"
requests_per_address = 6000
price_class          = "PriceClass_All"
log_retention_days   = 90
