# Draw the data and the fitted line.
files <- commandArgs(trailingOnly = TRUE)
model <- readRDS(files[1])
pdf(files[2])
plot(dist ~ speed, data = cars)
abline(model)
invisible(dev.off())
