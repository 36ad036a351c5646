* Keep what the model needs.
version 13
sysuse auto, clear
keep price weight foreign
drop if missing(price, weight)
save clean.dta, replace
