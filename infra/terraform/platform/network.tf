data "aws_ssm_parameter" "network" {
  name = "/birthday/${var.environment}/network"
}

locals {
  network = jsondecode(data.aws_ssm_parameter.network.insecure_value).network
}
