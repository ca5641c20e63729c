"""Its being here lets the folders below import `analytic_targets`."""
