// How translucent parts look, and whether this machine draws by its CPU.

// more opaque where the surface turns away from the eye, as glass is, so that shapes stay readable
const RIM = `
  if (diffuseColor.a < 0.99) {
    float facing = abs(dot(normal, normalize(vViewPosition)));
    diffuseColor.a = mix(diffuseColor.a, 1.0, 0.6 * pow(1.0 - facing, 2.0));
  }
  #include <opaque_fragment>`;
export const withRim = (shader) => { shader.fragmentShader = shader.fragmentShader.replace("#include <opaque_fragment>", RIM); };

/** Whether WebGL is computed on the CPU: then smooth edges cost seconds. */
export function isSoftware() {
  const context = document.createElement("canvas").getContext("webgl2");
  const about = context?.getExtension("WEBGL_debug_renderer_info");
  const name = about ? context.getParameter(about.UNMASKED_RENDERER_WEBGL) : "";
  context?.getExtension("WEBGL_lose_context")?.loseContext();
  return /swiftshader|llvmpipe|software|basic render/i.test(name);
}
