# nix-build packaging/tensorfs.nix
{ pkgs ? import <nixpkgs> { } }:

pkgs.stdenv.mkDerivation {
  pname = "tensorfs";
  version = "0.2.0";
  src = pkgs.lib.cleanSource ../.;

  nativeBuildInputs = with pkgs; [ meson ninja pkg-config ];
  buildInputs = with pkgs; [ fuse3 jansson xxHash zlib liburing nettle curl ];
  nativeCheckInputs = with pkgs; [ cmocka (python3.withPackages (p: [ p.numpy ])) ];

  mesonFlags = [ "-Dmount_helper_dir=${placeholder "out"}/bin" ];
  doCheck = true;
  checkPhase = "meson test --suite unit --print-errorlogs";

  meta = {
    description = "Mount a model with every tensor in it as a file";
    license = pkgs.lib.licenses.mit;
    platforms = pkgs.lib.platforms.linux;
  };
}
