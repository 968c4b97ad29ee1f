// SPDX-License-Identifier: MIT
// xtensor FILE.npy: the sum of a matrix of float32, as xtensor reads it.
#include <cstdio>
#include <fstream>
#if __has_include(<xtensor/io/xnpy.hpp>) // since 0.26
#include <xtensor/containers/xarray.hpp>
#include <xtensor/io/xnpy.hpp>
#else
#include <xtensor/xarray.hpp>
#include <xtensor/xnpy.hpp>
#endif

int main(int, char **argv)
{
	try {
		std::ifstream file(argv[1], std::ifstream::binary);
		auto a = xt::load_npy<float>(file);
		double sum = 0;
		for (float x : a)
			sum += x;
		std::printf("%zu %.1f\n", a.dimension(), sum);
	} catch (const std::exception &e) {
		std::printf("refused: %s\n", e.what());
		return 1;
	}
}
