* Fit the model and write its coefficients as a table.
version 13
use clean.dta, clear
regress price weight i.foreign
matrix table = r(table)'
clear
svmat table, names(col)
export delimited using coefficients.csv, replace
