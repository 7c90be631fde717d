regions = ["eu-central-1", "eu-west-1"]
accounts = {
  birthday-dev     = { email = "aws+birthday-dev@example.com", unit = "development" }
  birthday-staging = { email = "aws+birthday-staging@example.com", unit = "development" }
  birthday-prod    = { email = "aws+birthday-prod@example.com", unit = "production" }
  birthday-exports = { email = "aws+birthday-exports@example.com", unit = "security" }
}
